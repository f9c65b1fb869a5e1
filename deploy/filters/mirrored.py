"""
A filter that passes over requests which a gateway has mirrored, so that they count only once.

Envoy appends `-shadow` to the host of a mirrored request (VirtualService `mirror`). Anyone can
write such a host, so the caller's certificate has to be the gateway's as well: a workload cannot
use it to slip past a limit. Fields: `envoy.extensions.common.matching.v3.ExtensionWithMatcher`.
"""

from betterproto2 import Message
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.extensions.common.matching.v3 import ExtensionWithMatcher
from envoy_data_plane.envoy.extensions.filters.common.matcher.action.v3 import SkipFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.matching.common_inputs.ssl.v3 import UriSanInput
from envoy_data_plane.envoy.type.matcher.v3 import HttpRequestHeaderMatchInput
from envoy_data_plane.google.protobuf import Any
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig as XdsExtension
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicatePredicateList,
    MatcherMatcherListPredicateSinglePredicate,
    MatcherOnMatch,
    RegexMatcher,
    StringMatcher,
)
from envoy_data_plane.xds.type.matcher.v3 import (
    RegexMatcherGoogleRe2 as GoogleRe2,
)

MIRRORED_HOST = r".+-shadow(:[0-9]+)?"


def unless_mirrored(http_filter: HttpFilter, mirroring: str) -> HttpFilter:
    """
    The same filter, skipped for requests that were mirrored.

    Args:
        http_filter: what is to count.
        mirroring: SPIFFE identity of the proxy that mirrors.
    """
    both = MatcherMatcherListPredicatePredicateList(
        predicate=[
            _header(":authority", RegexMatcher(google_re2=GoogleRe2(), regex=MIRRORED_HOST)),
            _single("peer", UriSanInput(), StringMatcher(exact=mirroring)),
        ]
    )
    skip = XdsExtension(name="skip", typed_config=Any.pack(SkipFilter()))
    matcher = Matcher(
        matcher_list=MatcherMatcherList(
            matchers=[
                MatcherMatcherListFieldMatcher(
                    predicate=MatcherMatcherListPredicate(and_matcher=both),
                    on_match=MatcherOnMatch(action=skip),
                )
            ]
        )
    )
    wrapped = ExtensionWithMatcher(
        xds_matcher=matcher,
        extension_config=TypedExtensionConfig(
            name=http_filter.name, typed_config=http_filter.typed_config
        ),
    )
    return HttpFilter(name=http_filter.name, typed_config=Any.pack(wrapped))


def _header(name: str, pattern: RegexMatcher) -> MatcherMatcherListPredicate:
    return _single(
        "host", HttpRequestHeaderMatchInput(header_name=name), StringMatcher(safe_regex=pattern)
    )


def _single(name: str, source: Message, value: StringMatcher) -> MatcherMatcherListPredicate:
    return MatcherMatcherListPredicate(
        single_predicate=MatcherMatcherListPredicateSinglePredicate(
            input=XdsExtension(name=name, typed_config=Any.pack(source)), value_match=value
        )
    )
