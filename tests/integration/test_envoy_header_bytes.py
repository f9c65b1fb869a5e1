"""A header that is not UTF-8, through a real Envoy: limited like any other, and never an error."""

from pathlib import Path

from deploy.demo.requests import status
from deploy.local.mesh import mesh
from deploy.local.sidecars import RLS_SERVICE
from deploy.wiring import ratelimit_filter


def test_a_header_that_is_not_utf_8_does_not_get_past_its_limit(tmp_path: Path) -> None:
    with mesh(tmp_path, arms=([ratelimit_filter(RLS_SERVICE)],)) as local:
        for tenant in ("acme", "caf\u00e9", "caf\u00e8"):  # sent as Latin-1: bytes E9 and E8
            headers = {"x-tenant": tenant}
            statuses = [
                status(local.arms[0], "/api/export", headers, "127.0.0.1") for _ in range(3)
            ]
            assert statuses == [200, 200, 429], tenant
