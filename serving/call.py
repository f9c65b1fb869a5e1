"""
The seam between transport and services: request body in, response body out.

A service gives a `MethodTable`; an engine mounts it. Nothing on this side has heard of a
descriptor or a policy, nothing on the other side has heard of a stream.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from enum import IntEnum
from typing import NamedTuple, Protocol

Metadata = tuple[tuple[str, str | bytes], ...]


class Call:
    """
    What an engine knows of a call besides its body.

    Args:
        metadata: request headers in the order of arrival; names in lower case, `-bin` values bytes.
        timeout_seconds: time left until the caller gives up, or None if it set no deadline.
        peer: the caller's address as the engine spells it; for logs only.
    """

    __slots__ = ("_metadata", "peer", "timeout_seconds")

    def __init__(self, metadata: Metadata, timeout_seconds: float | None, peer: str) -> None:
        self._metadata, self.timeout_seconds, self.peer = metadata, timeout_seconds, peer

    @property
    def metadata(self) -> Metadata:
        """The request headers; an engine may decode them only when they are asked for."""
        return self._metadata


Handler = Callable[[bytes, Call], bytes | Awaitable[bytes]]
"""Answers at once with bytes, or with an awaitable of them. Raises `RpcError` for a fault. A Future
costs an engine a callback, a coroutine a task."""


class Streaming(NamedTuple):
    """A method with a stream on either side: messages in, messages out."""

    handle: Callable[[AsyncIterator[bytes], Call], AsyncIterator[bytes]]


MethodTable = Mapping[str, Handler | Streaming]
"""Full method path (`/package.Service/Method`) → handler."""


class Status(IntEnum):
    """gRPC status codes that this project answers with (grpc.io, "Status codes and their use")."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class RpcError(Exception):
    """
    A fault that ends a call with a gRPC status; its message reaches the caller.

    To Envoy any status but OK is an error of the service, and the filter's failure mode decides
    about the request. A refusal is therefore never an `RpcError`.
    """

    status = Status.UNKNOWN


class InvalidArgument(RpcError):
    """The request body is not what the method takes."""

    status = Status.INVALID_ARGUMENT


class NotFound(RpcError):
    """The thing asked about does not exist here."""

    status = Status.NOT_FOUND


class Unavailable(RpcError):
    """Something the answer needs is away; the caller may try again."""

    status = Status.UNAVAILABLE


class Engine(Protocol):
    """A transport under a method table."""

    async def start(self) -> int:
        """Listen and return the bound port. Raises OSError when the address cannot be had."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Accept nothing new, let calls in flight finish for `grace_seconds`, then end them."""
        ...
