"""Component states → grpc.health.v1 answers and readiness."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import structlog
from google.protobuf.message import DecodeError

from protos.health_v1_pb2 import HealthCheckRequest, HealthCheckResponse
from serving.call import Call, InvalidArgument, MethodTable, NotFound, Streaming, Unavailable

log = structlog.get_logger()

ANSWERS = {
    True: HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString(),
    False: HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING).SerializeToString(),
}
UNKNOWN = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()


class Component(NamedTuple):
    """One thing the process needs in order to answer well."""

    ready: bool
    reason: str
    advisory: bool
    """Shown by `/readyz` but not by grpc.health.v1: without it the process still gives the
    answer its configuration asks for, so Envoy must not take the endpoint out."""


class Health:
    """
    The states of a process's components.

    Args:
        service: the name under which grpc.health.v1 answers, besides the empty one.
    """

    def __init__(self, service: str) -> None:
        self._names = ("", service)
        self._components: dict[str, Component] = {}
        self._watches: set[asyncio.Event] = set()
        self._closed = False

    def report(
        self, component: str, *, ready: bool, reason: str = "", advisory: bool = False
    ) -> None:
        """Set a component's state; a change is logged once, not at every report."""
        before = self._components.get(component)
        state = Component(ready, reason, advisory)
        if before == state:
            return
        self._components[component] = state
        self._wake()
        if before is None or before.ready != ready:
            note = log.info if ready else log.warning
            note(
                "component ready" if ready else "component not ready",
                component=component,
                reason=reason,
            )

    @property
    def components(self) -> Mapping[str, Component]:
        return self._components

    @property
    def ready(self) -> bool:
        """True when every component is."""
        return all(component.ready for component in self._components.values())

    @property
    def serving(self) -> bool:
        """True when Envoy should send calls here."""
        return all(state.ready or state.advisory for state in self._components.values())

    def methods(self) -> MethodTable:
        return {
            "/grpc.health.v1.Health/Check": self._check,
            "/grpc.health.v1.Health/Watch": Streaming(self._watch),
        }

    def close(self) -> None:
        """End every watch with UNAVAILABLE: without an end of its own it would hold up a drain."""
        self._closed = True
        self._wake()

    def _check(self, body: bytes, _: Call) -> bytes:
        name = _asked(body)
        if name not in self._names:
            raise NotFound(f"unknown service {name!r}; known: {', '.join(self._names[1:])}")
        return ANSWERS[self.serving]

    async def _watch(self, requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        """The state now, then each change; of a service that is not here, that it is unknown."""
        request = await anext(requests, None)
        if request is None:
            raise InvalidArgument("no HealthCheckRequest")
        name = _asked(request)
        changed = asyncio.Event()
        self._watches.add(changed)
        told = b""
        try:
            while not self._closed:
                changed.clear()
                state = ANSWERS[self.serving] if name in self._names else UNKNOWN
                if state != told:
                    told = state
                    yield state
                await changed.wait()
        finally:
            self._watches.discard(changed)
        raise Unavailable("the server is stopping")

    def _wake(self) -> None:
        for watch in self._watches:
            watch.set()


def _asked(body: bytes) -> str:
    """The service that a request names. Raises InvalidArgument for what is no request."""
    try:
        return HealthCheckRequest.FromString(body).service
    except DecodeError as error:
        raise InvalidArgument("not a HealthCheckRequest") from error
