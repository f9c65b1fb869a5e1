"""
Structured lines on standard error: one event a line, as text or JSON.

The standard library's `logging` ends here too: asyncio, aiohttp and grpcio complain there.
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "PANIC": logging.CRITICAL,
}
"""The level names that envoyproxy/ratelimit takes, any case."""


def configure_logs(level: str, form: str, service: str) -> None:
    """
    Configure structlog and `logging` for the whole process; called once.

    Args:
        level: a name of `LEVELS`; lines below it cost a function call and nothing more.
        form: `text` or `json`.
        service: written into every line, so that two sidecars' lines can be told apart.
    """

    def name_service(_: object, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    first: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
    ]
    last = _renderers(form)
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    foreign = logging.StreamHandler(sys.stderr)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=[strip, *last])
    )
    # Below a warning, libraries talk to their own developers.
    logging.basicConfig(handlers=[foreign], level=max(LEVELS[level], logging.WARNING))


def _renderers(form: str) -> list[Processor]:
    if form == "json":
        # Without the local variables of each frame: they hold tokens and passwords.
        trace = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(trace),
            structlog.processors.JSONRenderer(),
        ]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "service", "event"]),
    ]
