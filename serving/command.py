"""The command line that both services share: `serve`, and `check FILES…`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.problems import ConfigError


def run(
    service: str,
    arguments: Sequence[str],
    serve: Callable[[], None],
    check: Callable[[list[Path]], str],
) -> int:
    """
    Run `serve` or `check`.

    Args:
        service: the package's name, for the usage line.
        arguments: without the program's name; wrong ones end the process with status 2.
        serve: runs until the process is told to stop.
        check: reads files and says in one line what it found.

    Returns:
        0 when done; 1 when a configuration is refused (each problem is a line on standard error)
        or an address cannot be had.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {service}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer Envoy; settings come from the environment")
    checking = commands.add_parser("check", help="read files, list every problem, exit 1 if any")
    checking.add_argument("files", nargs="+", type=Path, metavar="FILE", help="file or folder")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "serve":
            serve()
        else:
            print(check(chosen.files))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{service}: {error}", file=sys.stderr)
        return 1
    return 0
