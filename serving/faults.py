"""Why a call ends without its handler's answer, and what its caller is told."""

import asyncio
from typing import NamedTuple

import structlog

from serving.call import RpcError, Status

log = structlog.get_logger()


class Fault(NamedTuple):
    """A gRPC status and its message."""

    status: Status
    message: str


CANCELLED = Fault(Status.UNAVAILABLE, "the answer was cancelled")


def answered(reply: object) -> bytes:
    """What a handler's answer must be. Raises TypeError: a fault of the handler, not the caller."""
    if not isinstance(reply, bytes):
        raise TypeError(f"a handler must answer with bytes, not {type(reply).__name__}")
    return reply


def fault_of(error: BaseException, path: str) -> Fault:
    """What an exception out of a handler means; the text of an unforeseen one is for the log."""
    if isinstance(error, RpcError):
        return Fault(error.status, str(error))
    if isinstance(error, asyncio.CancelledError):
        return CANCELLED  # what the handler waited for was cancelled, and not the call
    log.error("handler failed", method=path, exc_info=error)
    return Fault(Status.INTERNAL, "internal fault")
