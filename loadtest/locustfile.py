"""
A user who sends the same request through each arm in turn.

`python -m loadtest` runs it. By hand, against listeners of your own:

    LOADTEST_ARMS='{"baseline": "http://10.0.0.5:8080", …}' LOADTEST_SAMPLES=samples.csv \
    LOADTEST_TOKEN=… python -m locust -f loadtest/locustfile.py --headless -u 4 -t 20s

Nothing of ours imports this file: locust patches the whole process for gevent.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant, events, task

from loadtest.samples import Sample, write

ARMS: dict[str, str] = json.loads(os.environ["LOADTEST_ARMS"])
"""Name → base URL."""
HEADERS = {"Authorization": f"Bearer {os.environ['LOADTEST_TOKEN']}"}
SAMPLES_FILE = Path(os.environ["LOADTEST_SAMPLES"])

PAUSE_SECONDS = 0.02
"""Between rounds. Without it the users keep every core busy, and all arms measure the queue."""

samples: list[Sample] = []
began = time.perf_counter()
order = random.Random(1)  # noqa: S311 - an order of requests, not a secret


class Caller(FastHttpUser):
    """Every round visits every arm once, in a new order: a drift of the machine hits all alike."""

    host = "http://127.0.0.1"  # locust wants one; the URLs below are whole
    wait_time = constant(PAUSE_SECONDS)

    @task
    def one_round(self) -> None:
        for arm in order.sample(list(ARMS), len(ARMS)):
            self.client.get(f"{ARMS[arm]}/loadtest", name=arm, headers=HEADERS)


def keep(name: str, response_time: float, response: Any, **_: Any) -> None:
    """Locust's own statistics round to milliseconds; what it measured, in ms, is exact."""
    at = time.perf_counter() - began
    samples.append(Sample(name, at, response_time * 1_000, response.status_code))


def hand_over(**_: Any) -> None:
    write(SAMPLES_FILE, samples)


events.request.add_listener(keep)  # type: ignore[no-untyped-call] # locust is half typed
events.quitting.add_listener(hand_over)  # type: ignore[no-untyped-call]
