"""The real Envoy takes both bootstraps; the manifests' filters run in `test_wirings_*.py`."""

from pathlib import Path

import pytest
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimit

from deploy.local.certificates import Authority, Files, Identity
from deploy.local.envoy import validate
from deploy.local.sidecars import Caller, InboundPorts, calling_sidecar, inbound_sidecar
from deploy.wiring import RATELIMIT, typed

PORTS = InboundPorts(admin=0, listener=0, upstream=1, rls=2, authz=3)
WORKLOAD = Identity("shop", "httpbin")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Authority(tmp_path).issue(WORKLOAD)


def test_the_inbound_sidecar(tmp_path: Path, files: Files):
    made = inbound_sidecar(PORTS, files, plain={0: []}, access_log=tmp_path / "access.log")
    assert validate("inbound", made, tmp_path) == ""


def test_the_calling_sidecar(tmp_path: Path, files: Files):
    made = calling_sidecar(0, 1, WORKLOAD, [Caller(WORKLOAD, files, 0)])
    assert validate("calling", made, tmp_path) == ""


def test_a_filter_that_envoy_refuses_is_reported(tmp_path: Path, files: Files):
    arm = [typed(RATELIMIT, RateLimit(domain=""))]
    refusal = validate("refused", inbound_sidecar(PORTS, files, plain={0: arm}), tmp_path)
    assert "RateLimitValidationError.Domain" in refusal
