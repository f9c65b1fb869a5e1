"""Structured lines on standard error: one event a line, as text or JSON."""

import logging
import sys

import structlog

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
    Configure structlog for the whole process.

    Args:
        level: a name of `LEVELS`; lines below it cost a function call and nothing more.
        form: `text` or `json`.
        service: written into every line, so that two sidecars' lines can be told apart.
    """
    renderer: structlog.typing.Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer()
        trace: structlog.typing.Processor = structlog.processors.dict_tracebacks
    else:
        renderer = structlog.processors.KeyValueRenderer(
            key_order=["timestamp", "level", "service", "event"]
        )
        trace = structlog.processors.format_exc_info
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            trace,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
