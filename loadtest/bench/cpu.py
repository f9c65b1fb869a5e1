"""CPU time of a process and its threads, kernel's part included, from the scheduler itself."""

import os
from pathlib import Path


def cpu_us(pid: int) -> float:
    """Microseconds on a CPU so far (Linux, proc(5): the first field of schedstat is in ns)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1_000


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, if the machine has more: its neighbour is the client's."""
    cores = sorted(os.sched_getaffinity(0) if pid == 0 else os.sched_getaffinity(pid))
    available = sorted(set(cores) | set(range(os.cpu_count() or 1)))
    if len(available) > 1:
        for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
            os.sched_setaffinity(int(task.name), {available[core % len(available)]})
