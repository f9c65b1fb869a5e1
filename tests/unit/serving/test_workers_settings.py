"""The environment of worker i, and ports that do not get in each other's way."""

from dataclasses import dataclass

import pytest

from serving.problems import ConfigError
from serving.settings import read_settings, setting
from serving.values import PORT, ProcessSettings, text
from serving.worker_settings import Endpoint, check_ports, endpoint, leave_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports(ProcessSettings):
    grpc_port: int = setting(8081, PORT, "gRPC")
    admin_host: str = setting("127.0.0.1", text, "admin", env=("ADMIN_HOST", "DEBUG_HOST"))
    admin_port: int = setting(6070, PORT, "admin")


def place(index: int, given: dict[str, str]) -> Endpoint:
    return endpoint(read_settings(Ports, given), given, index, "g")


def test_a_worker_has_the_next_port_and_an_admin_socket_and_all_else_as_given() -> None:
    given = {"GRPC_PORT": "9000", "PATH": "/bin", "ADMIN_PORT": "7000", "ADMIN_HOST": "0.0.0.0"}
    assert place(0, given) == Endpoint(
        index=0,
        environment={
            "GRPC_PORT": "9000",
            "PATH": "/bin",
            "ADMIN_PORT": "7000",
            "ADMIN_HOST": "@tollhouse-g-0",
        },
        listener=("0.0.0.0", 9000),
        admin="@tollhouse-g-0",
    )
    third = place(2, given)
    assert (third.index, third.listener, third.admin) == (2, ("0.0.0.0", 9002), "@tollhouse-g-2")
    assert third.environment["GRPC_PORT"] == "9002"
    assert third.environment["ADMIN_HOST"] == "@tollhouse-g-2"
    assert given["GRPC_PORT"] == "9000"


def test_an_unset_port_counts_from_the_services_default() -> None:
    assert place(1, {"GRPC_HOST": "::1"}).listener == ("::1", 8082)
    assert place(1, {}).environment["GRPC_PORT"] == "8082"


def test_port_0_is_any_free_port_for_each() -> None:
    any_port = place(3, {"GRPC_PORT": "0"})
    assert (any_port.environment["GRPC_PORT"], any_port.listener) == ("0", None)


def test_the_other_name_of_a_replaced_setting_does_not_contradict_it() -> None:
    told = place(1, {"DEBUG_HOST": "0.0.0.0"}).environment
    assert "DEBUG_HOST" not in told
    assert read_settings(Ports, told).admin_host == "@tollhouse-g-1"


def test_a_socket_gets_a_suffix() -> None:
    socketed = place(2, {"GRPC_UDS": "/run/rls.sock"})
    assert socketed.environment["GRPC_UDS"] == socketed.listener == "/run/rls.sock.2"
    assert "GRPC_UDS" not in place(2, {}).environment


def test_workers_must_be_gone_a_little_after_the_drain() -> None:
    given = {"DRAIN_DELAY": "3s", "DRAIN_TIMEOUT": "250ms"}
    assert leave_seconds(read_settings(Ports, given)) == 8.25


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"GRPC_PORT": "65532"},
        {"GRPC_PORT": "0"},
        {"GRPC_PORT": "9000", "ADMIN_PORT": "8999"},
        {"GRPC_PORT": "9000", "ADMIN_PORT": "9004"},
        {"GRPC_PORT": "9000", "ADMIN_PORT": "9001", "ADMIN_HOST": "@admin"},
        {"GRPC_UDS": "/run/a.sock", "GRPC_PORT": "65535", "ADMIN_PORT": "65535"},
    ],
)
def test_ports_that_fit(given: dict[str, str]) -> None:
    check_ports(read_settings(Ports, given), 4)


def test_ports_that_do_not_fit_are_named_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        check_ports(read_settings(Ports, {"GRPC_PORT": "65533", "ADMIN_PORT": "65534"}), 4)
    assert str(caught.value).splitlines() == [
        "environment: ADMIN_PORT: found 65534; accepted: a port outside 65533 to 65536, "
        "which the 4 workers listen on",
        "environment: GRPC_PORT: found 65533; accepted: at most 65532 with 4 workers",
    ]


@pytest.mark.parametrize("admin_port", ["9000", "9003"])
def test_the_admin_port_may_be_neither_the_first_nor_the_last_workers(admin_port: str) -> None:
    with pytest.raises(ConfigError, match="ADMIN_PORT"):
        check_ports(read_settings(Ports, {"GRPC_PORT": "9000", "ADMIN_PORT": admin_port}), 4)
