"""The settings of the authorization service, as the issue and the deployment name them."""

from pathlib import Path

import pytest

from authz.attachment import Workload
from authz.settings import Settings
from serving.problems import ConfigError
from serving.settings import read_settings


def test_defaults() -> None:
    settings = read_settings(Settings, {})
    assert (settings.grpc_host, settings.grpc_port) == ("0.0.0.0", 9191)
    assert settings.admin_host == "127.0.0.1"
    assert settings.root_namespace == "istio-system"
    assert settings.trust_domain == "cluster.local"
    assert settings.trust_domain_aliases == ()
    assert settings.xff_num_trusted_hops == 0
    assert settings.jwt_leeway_seconds == 60
    assert settings.jwks_allow_http is False
    assert settings.workload == Workload("default", {}, "istio-system")


def test_everything_can_be_set() -> None:
    settings = read_settings(
        Settings,
        {
            "POLICY_PATHS": "/a, /b/c.yaml",
            "WORKLOAD_NAMESPACE": "shop",
            "WORKLOAD_LABELS": "app=web,version=v1",
            "ROOT_NAMESPACE": "root",
            "TRUST_DOMAIN": "td1",
            "TRUST_DOMAIN_ALIASES": "td2,td3",
            "XFF_NUM_TRUSTED_HOPS": "2",
            "JWT_LEEWAY_SECONDS": "0",
            "JWKS_ALLOW_HTTP": "true",
        },
    )
    assert settings.policy_paths == (Path("/a"), Path("/b/c.yaml"))
    assert settings.workload == Workload("shop", {"app": "web", "version": "v1"}, "root")
    assert (settings.trust_domain, settings.trust_domain_aliases) == ("td1", ("td2", "td3"))
    assert (settings.xff_num_trusted_hops, settings.jwt_leeway_seconds) == (2, 0)
    assert settings.jwks_allow_http is True


def test_every_malformed_value_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        read_settings(Settings, {"WORKLOAD_LABELS": "app", "JWKS_ALLOW_HTTP": "maybe"})
    assert [str(problem) for problem in refused.value.problems] == [
        "environment: JWKS_ALLOW_HTTP: found 'maybe'; accepted: true, false, 1, 0, t, f",
        "environment: WORKLOAD_LABELS: found 'app'; accepted: labels such as app=web,version=v1",
    ]


def test_believing_a_header_about_the_caller_is_refused_and_not_ignored() -> None:
    with pytest.raises(ConfigError, match="TRUST_XFCC: found 'last'; accepted: never"):
        read_settings(Settings, {"TRUST_XFCC": "last"})
