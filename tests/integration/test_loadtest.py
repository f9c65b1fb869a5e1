"""`python -m loadtest`: Locust really drives a real Envoy through every arm."""

import subprocess
import sys

ARMS = ["baseline", "rls", "authz", "both"]


def test_every_arm_is_asked_and_compared() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "--seconds", "2", "--users", "1"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    _, headings, *rows = (line.split() for line in done.stdout.splitlines())
    assert headings[:3] == ["arm", "requests", "failed"], done.stderr
    assert [row[0] for row in rows] == ARMS
    assert all(int(requests) > 10 for _, requests, *_ in rows)
    assert all(int(failed) < int(requests) / 10 for _, requests, failed, *_ in rows)
    assert [len(row) for row in rows] == [5, 7, 7, 7]
