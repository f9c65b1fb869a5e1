"""What the grpcio engine adds to the contract that every engine keeps."""

import grpc

from serving.call import Status
from serving.grpcio_engine import CODES, OPTIONS


def test_every_status_of_ours_is_a_status_of_grpc_with_the_same_name_and_number() -> None:
    assert set(CODES) == set(Status)
    for status, code in CODES.items():
        assert (status.value, status.name) == (code.value[0], code.name)
    assert len({*CODES.values()}) == len(Status) <= len(grpc.StatusCode)


def test_a_second_server_on_the_port_is_an_error_and_not_half_of_the_connections() -> None:
    assert dict(OPTIONS)["grpc.so_reuseport"] == 0
