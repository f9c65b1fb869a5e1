"""Why a call ends without its handler's answer, and what its caller is told."""

from typing import NamedTuple

import structlog

from serving.call import RpcError, Status

log = structlog.get_logger()


class Fault(NamedTuple):
    """A gRPC status and its message."""

    status: Status
    message: str


def fault_of(error: BaseException, path: str) -> Fault:
    """What an exception out of a handler means; the text of an unforeseen one is for the log."""
    if isinstance(error, RpcError):
        return Fault(error.status, str(error))
    log.error("handler failed", method=path, exc_info=error)
    return Fault(Status.INTERNAL, "internal fault")
