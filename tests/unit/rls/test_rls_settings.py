"""The environment of the rate limit service."""

from pathlib import Path

import pytest

from rls.counters.address import StoreAddress
from rls.settings import Settings
from serving.problems import ConfigError
from serving.settings import read_settings, shown_settings


def test_defaults_are_envoyproxy_ratelimits() -> None:
    settings = read_settings(Settings, {})
    assert settings.grpc_port == 8081
    assert settings.admin_port == 6070
    assert settings.limits_folder == Path("/srv/runtime_data/current/config")
    assert settings.backend_type == "redis"
    assert settings.store_address() == StoreAddress(unix_path="/var/run/nutcracker/ratelimit.sock")
    assert settings.redis_connect_timeout_seconds == 10


def test_the_admin_port_is_for_this_machine_unless_told_otherwise() -> None:
    assert read_settings(Settings, {}).admin_host == "127.0.0.1"
    assert read_settings(Settings, {"DEBUG_HOST": "::"}).admin_host == "::"


def test_the_store_may_take_less_than_envoy_waits() -> None:
    assert read_settings(Settings, {}).redis_op_timeout_seconds < 0.02


def test_the_environment_says_where_limits_and_counters_are() -> None:
    settings = read_settings(
        Settings,
        {
            "RUNTIME_ROOT": "/data",
            "RUNTIME_SUBDIRECTORY": "ratelimit",
            "RUNTIME_APPDIRECTORY": "limits",
            "REDIS_SOCKET_TYPE": "tcp",
            "REDIS_URL": "valkey:6379",
            "REDIS_AUTH": "rls:secret",
            "REDIS_TIMEOUT": "3s",
            "REDIS_OP_TIMEOUT": "7ms",
        },
    )
    assert settings.limits_folder == Path("/data/ratelimit/limits")
    assert settings.store_address() == StoreAddress(
        host="valkey", port=6379, username="rls", password="secret"
    )
    assert settings.redis_connect_timeout_seconds == 3
    assert settings.redis_op_timeout_seconds == pytest.approx(0.007)


def test_every_malformed_value_is_named_with_what_is_accepted() -> None:
    with pytest.raises(ConfigError) as refused:
        read_settings(
            Settings,
            {
                "BACKEND_TYPE": "memcache",
                "REDIS_SOCKET_TYPE": "udp",
                "REDIS_TIMEOUT": "0",
                "REDIS_OP_TIMEOUT": "500us",
                "GRPC_PORT": "http",
            },
        )
    assert [str(problem) for problem in refused.value.problems] == [
        "environment: BACKEND_TYPE: found 'memcache'; accepted: redis, memory",
        "environment: GRPC_PORT: found 'http'; accepted: a whole number 0 to 65535",
        "environment: REDIS_OP_TIMEOUT: found '500us'; accepted: a duration of at least 1ms",
        "environment: REDIS_SOCKET_TYPE: found 'udp'; accepted: unix, tcp",
        "environment: REDIS_TIMEOUT: found '0'; accepted: a duration of at least 1ms",
    ]


def test_an_address_that_does_not_fit_its_socket_type_is_refused_without_showing_it() -> None:
    settings = read_settings(Settings, {"REDIS_SOCKET_TYPE": "tcp", "REDIS_URL": "rls:secret@host"})
    with pytest.raises(ConfigError) as refused:
        settings.store_address()
    assert str(refused.value) == (
        "environment: REDIS_URL: does not fit REDIS_SOCKET_TYPE tcp; accepted: "
        "host:port with a port from 1 to 65535, or redis://host:port/database"
    )


def test_what_may_hold_a_password_is_not_shown() -> None:
    environment = {"REDIS_URL": "redis://rls:secret@valkey", "REDIS_AUTH": "secret"}
    shown = shown_settings(read_settings(Settings, environment))
    assert (shown["REDIS_URL"], shown["REDIS_AUTH"]) == ("***", "***")
    assert "secret" not in str(shown)


def test_a_source_of_limits_that_is_not_read_is_refused() -> None:
    with pytest.raises(ConfigError, match="CONFIG_TYPE: found 'GRPC_XDS_SOTW'; accepted: FILE"):
        read_settings(Settings, {"CONFIG_TYPE": "GRPC_XDS_SOTW"})


@pytest.mark.parametrize("kind", ["SENTINEL", "cluster"])
def test_a_topology_that_is_not_followed_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"REDIS_TYPE: found '{kind}'; accepted: SINGLE"):
        read_settings(Settings, {"REDIS_TYPE": kind})
    assert read_settings(Settings, {"REDIS_TYPE": "single"}).redis_type == "SINGLE"
