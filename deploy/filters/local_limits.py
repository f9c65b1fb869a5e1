"""
Limits that each proxy keeps by itself, without asking anyone: per pod, and per descriptor in a pod.

Fields: Envoy 1.40, `envoy.extensions.filters.{http,network}.local_ratelimit.v3`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from envoy_data_plane.envoy.config.core.v3 import RuntimeFractionalPercent
from envoy_data_plane.envoy.config.listener.v3 import Filter
from envoy_data_plane.envoy.config.route.v3 import RateLimitAction
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import (
    LocalRateLimitDescriptor,
    RateLimitDescriptorEntry,
    XRateLimitHeadersRfcVersion,
)
from envoy_data_plane.envoy.extensions.filters.http.local_ratelimit.v3 import LocalRateLimit
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.filters.network.local_ratelimit.v3 import (
    LocalRateLimit as LocalConnectionLimit,
)
from envoy_data_plane.envoy.type.v3 import FractionalPercent, TokenBucket
from envoy_data_plane.google.protobuf import Any

from deploy.filters.actions import descriptors

LOCAL_RATELIMIT = "envoy.filters.http.local_ratelimit"
LOCAL_CONNECTIONS = "envoy.filters.network.local_ratelimit"

ALWAYS = 100
"""Percent. The default of both fractions is 0: a filter without them limits nothing, silently."""

MOST_VALUES = 1_000
"""Buckets of one descriptor at a time, the least recently used given up first; the default is 20,
and with more callers than buckets each comes back to a full one."""


class Bucket(NamedTuple):
    """At most `tokens` at once, and as many again every `every_seconds`."""

    tokens: int
    every_seconds: int = 1


class Each(NamedTuple):
    """One bucket for every value that the actions give."""

    keys: tuple[str, ...]
    """The descriptor keys of the actions, in order."""
    actions: Sequence[RateLimitAction]
    bucket: Bucket


def local_limit(pod: Bucket, each: Sequence[Each] = ()) -> HttpFilter:
    """
    The filter that refuses with 429 what is over.

    Args:
        pod: for all requests that no descriptor has a bucket for.
        each: buckets by caller, network or whatever else tells requests apart.
    """
    config = LocalRateLimit(
        stat_prefix="tollhouse_local",
        token_bucket=_bucket(pod),
        filter_enabled=_always("tollhouse_local.enabled"),
        filter_enforced=_always("tollhouse_local.enforced"),
        enable_x_ratelimit_headers=XRateLimitHeadersRfcVersion.DRAFT_VERSION_03,
        rate_limited_as_resource_exhausted=True,
        rate_limits=descriptors(*(one.actions for one in each)),
        descriptors=[
            LocalRateLimitDescriptor(
                entries=[RateLimitDescriptorEntry(key=key) for key in one.keys],
                token_bucket=_bucket(one.bucket),
            )
            for one in each
        ],
        max_dynamic_descriptors=MOST_VALUES if each else None,
        always_consume_default_token_bucket=False,
    )
    return HttpFilter(name=LOCAL_RATELIMIT, typed_config=Any.pack(config))


def connection_limit(pod: Bucket) -> Filter:
    """The filter that closes connections over the limit at once, before any TLS or HTTP."""
    config = LocalConnectionLimit(
        stat_prefix="tollhouse_connections",
        token_bucket=_bucket(pod),
        runtime_enabled=None,
    )
    return Filter(name=LOCAL_CONNECTIONS, typed_config=Any.pack(config))


def _bucket(bucket: Bucket) -> TokenBucket:
    return TokenBucket(
        max_tokens=bucket.tokens,
        tokens_per_fill=bucket.tokens,
        fill_interval=timedelta(seconds=bucket.every_seconds),
    )


def _always(runtime_key: str) -> RuntimeFractionalPercent:
    return RuntimeFractionalPercent(
        default_value=FractionalPercent(numerator=ALWAYS), runtime_key=runtime_key
    )
