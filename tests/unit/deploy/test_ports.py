"""Reserved ports: free for the program that is told of them, and for nobody else."""

import socket

import pytest

from deploy.local.ports import LOOPBACK, reserved


def test_a_server_can_listen_on_a_reserved_port():
    with (
        reserved(1) as (port,),
        socket.create_server((LOOPBACK, port)) as server,
        socket.create_connection((LOOPBACK, port)) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_nobody_else_gets_it_while_it_is_reserved():
    with reserved(2) as (first, second):
        assert first != second
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((LOOPBACK, first))


def test_it_is_free_again_afterwards():
    with reserved(1) as (port,):
        pass
    with socket.socket() as anyone:
        anyone.bind((LOOPBACK, port))
        assert anyone.getsockname() == (LOOPBACK, port)


def test_none_may_be_asked_for():
    with reserved(0) as ports:
        assert ports == ()
