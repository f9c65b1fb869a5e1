"""The Valkey of the local mesh can go away and come back where it was."""

from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local.ports import LOOPBACK, reserved
from deploy.local.valkey import valkey


def pings(port: int) -> bool:
    with redis.Redis(LOOPBACK, port, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def test_it_stops_and_starts_on_the_same_port(tmp_path: Path):
    with reserved(1) as (port,):
        with valkey(port, tmp_path) as server:
            assert pings(port)
            server.stop()
            assert not pings(port)
            server.start()
            assert pings(port)
        assert not pings(port)


def test_one_that_is_stopped_already_can_be_left(tmp_path: Path):
    with reserved(1) as (port,):
        with valkey(port, tmp_path) as server:
            server.stop()
        assert not pings(port)
