"""The command line that both services share: `serve`, and `check FILES…`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from serving import lifeline
from serving.logs import configure_logs
from serving.problems import ConfigError
from serving.settings import read_settings
from serving.values import integer
from serving.worker_settings import Supervised, leave_seconds
from serving.workers import supervise

MAX_WORKERS = 64
STDIN = 0


def run(
    service: str,
    arguments: Sequence[str],
    serve: Callable[[], None],
    check: Callable[[list[Path]], str],
    settings: type[Supervised],
) -> int:
    """
    Run `serve` or `check`.

    Args:
        service: the package's name, for the usage line and the workers' command line.
        arguments: without the program's name; wrong ones end the process with status 2.
        serve: runs until the process is told to stop.
        check: reads files and says in one line what it found.
        settings: the service's, of which a supervisor needs some.

    Returns:
        0 when done; 1 when a configuration is refused (each problem is a line on standard error),
        an address cannot be had, or not all workers drained.
    """
    chosen = _parser(service).parse_args(arguments)
    try:
        if chosen.command == "check":
            print(check(chosen.files))
            return 0
        if chosen.until_eof:
            lifeline.hold(STDIN, leave_seconds(read_settings(settings, os.environ)))
        if chosen.workers > 1:
            return _supervise(service, chosen.workers, read_settings(settings, os.environ))
        serve()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{service}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser(service: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {service}")
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="answer Envoy; settings come from the environment")
    serving.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="processes, each with a port (GRPC_PORT, GRPC_PORT+1 ...) or socket (GRPC_UDS.0 ...) "
        "of its own, behind one admin port",
    )
    serving.add_argument(
        "--until-eof",
        action="store_true",
        help="drain when standard input ends, as on SIGTERM; so run the workers of --workers",
    )
    checking = commands.add_parser("check", help="read files, list every problem, exit 1 if any")
    checking.add_argument("files", nargs="+", type=Path, metavar="FILE", help="file or folder")
    return parser


def _workers(found: str) -> int:
    try:
        return integer(1, MAX_WORKERS)(found)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"found {found!r}; accepted: {error}") from error


def _supervise(service: str, count: int, settings: Supervised) -> int:
    configure_logs(settings.log_level, settings.log_format, service)
    return asyncio.run(supervise(service, count, settings, os.environ))
