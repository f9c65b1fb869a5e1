"""What is changed in a request's headers: outputs set, forgeries of them and the token removed."""

from collections.abc import Sequence
from typing import NamedTuple

from authz.request import Request
from authz.tokens.claim_headers import output_names
from authz.tokens.credentials import Place
from authz.tokens.jwt_rule import JwtRule
from authz.tokens.verified_tokens import Verified


class HeaderChanges(NamedTuple):
    """Changes as Envoy is to make them; no name is in both, for Envoy removes after it has set."""

    set_headers: tuple[tuple[str, str], ...]
    remove_headers: tuple[str, ...]
    remove_params: tuple[str, ...]


class Outputs:
    """The headers that the rules of a workload may set."""

    def __init__(self, rules: Sequence[JwtRule]) -> None:
        self._names = tuple(dict.fromkeys(name for rule in rules for name in output_names(rule)))
        self._folded = frozenset(map(_fold, self._names))

    def spoofed(self, request: Request) -> tuple[str, ...]:
        """
        What a client must not set: every output of every rule, whether it is seen or not.

        And each header seen that differs from one by `_` for `-` alone: many an upstream takes
        the two for one.
        """
        if not self._names:
            return ()
        alike = (name for name in request.headers if _fold(name) in self._folded)
        return tuple(dict.fromkeys((*self._names, *alike)))

    def changes(
        self, request: Request, places: Sequence[Place], verified: Verified
    ) -> HeaderChanges:
        """What becomes of a request whose token was found at `places`."""
        remove = dict.fromkeys(self.spoofed(request))
        params: tuple[str, ...] = ()
        if not verified.provider.rule.forward_original_token:
            # Cookies stay, as behind Istio's proxy: Envoy has no way to take one out of its line.
            remove |= {place.name: None for place in places if place.kind == "header"}
            params = tuple(place.name for place in places if place.kind == "param")
        for name, _ in verified.headers:
            remove.pop(name, None)
        return HeaderChanges(verified.headers, tuple(remove), params)


def _fold(name: str) -> str:
    return name.replace("_", "-")
