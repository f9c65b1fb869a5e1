"""The filters of the local mesh where callers come without certificate, tenant or token."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.requests import status
from deploy.local.mesh import Mesh, mesh
from deploy.local.sidecars import AUTHZ_SERVICE, RLS_SERVICE
from deploy.wiring import ext_authz_filter, ratelimit_filter

ADDRESS = "127.0.0.1"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    arms = ([], [ratelimit_filter(RLS_SERVICE)], [ext_authz_filter(AUTHZ_SERVICE)])
    folder: Path = tmp_path_factory.mktemp("mesh")
    with mesh(folder, arms=arms) as running:
        yield running


def test_an_arm_without_filters_asks_nobody(local: Mesh):
    assert status(local.arms[0], "/admin", {}, ADDRESS) == 200


def test_a_descriptor_that_lacks_an_entry_is_not_counted_as_another(local: Mesh):
    """
    No tenant, no certificate: two of the four descriptors have nothing to say.

    Sent without their last entry they would be the path's own descriptor, and each request would
    count three times.
    """
    statuses = [status(local.arms[1], "/api/search", {}, ADDRESS) for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


def test_the_query_does_not_open_a_counter_of_its_own(local: Mesh):
    paths = [f"/api/report?n={number}" for number in range(4)]
    statuses = [status(local.arms[1], path, {}, ADDRESS) for path in paths]
    assert statuses == [200, 200, 200, 429]


def test_without_certificate_and_token_authz_refuses(local: Mesh):
    assert status(local.arms[2], "/api/profile", {}, ADDRESS) == 403


def test_without_valkey_nothing_that_is_limited_gets_through(local: Mesh):
    local.valkey.stop()
    try:
        assert status(local.arms[1], "/api/login", {}, ADDRESS) == 503
    finally:
        local.valkey.start()
