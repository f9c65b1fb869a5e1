"""The script: which requests are sent, as whom, and what has to come of each."""

from typing import NamedTuple

WINDOW_SECONDS = 3_600
"""Every limit of the story counts by the hour."""
PATIENCE_SECONDS = 15
"""Longer than the story takes on a slow machine; no window may end within it."""


class Step(NamedTuple):
    """Requests that differ in nothing, one after the other, and what is expected of them."""

    what: str
    path: str
    statuses: tuple[int, ...]
    """One a request, in order."""
    decider: str
    """The last word on them, as `decisions.last_word` puts it."""
    credential: str = "good"
    """Which of `requests.credentials` they carry."""
    caller: str = "allowed-sa"
    """Service account of the calling workload."""
    address: str = "127.0.0.1"
    """The client's own."""
    headers: tuple[tuple[str, str], ...] = ()
    """More request headers."""


CALLERS = "allow by shop/callers"
ADMIN = "denied_by_policy by shop/no-admin"

TOKENS = (
    Step("no token", "/api/profile", (403,), "missing_token", credential="none"),
    Step("token signed by a stranger", "/api/profile", (401,), "invalid_token", "forged"),
    Step("token of yesterday", "/api/profile", (401,), "expired_token", "expired"),
    Step("good token", "/api/profile", (200,), CALLERS),
)
IDENTITIES_AND_PATHS = (
    Step(
        "other-sa, not allowed here", "/api/profile", (403,), "no_policy_allows", caller="other-sa"
    ),
    Step("allowed-sa, forbidden path", "/admin/users", (403,), ADMIN),
    Step("allowed-sa, allowed path", "/api/orders", (200,), CALLERS),
)
LIMITS = (
    Step(
        "fixed window of 3",
        "/api/search",
        (200, 200, 200, 429),
        "limit shop.path_/api/search",
    ),
    Step(
        "token bucket, burst of 3",
        "/api/report",
        (200, 200, 200, 429),
        "limit shop.path_/api/report",
    ),
    Step(
        "per address, 127.0.0.11",
        "/api/login",
        (200, 200, 429),
        "limit shop.path_/api/login.remote_address",
        address="127.0.0.11",
    ),
    Step(
        "per address, 127.0.0.12",
        "/api/login",
        (200,),
        "limit shop.path_/api/login.remote_address",
        address="127.0.0.12",
    ),
    Step(
        "per tenant, blue",
        "/api/export",
        (200, 200, 429),
        "limit shop.path_/api/export.tenant",
    ),
    Step(
        "… blue, pretending to be green",
        "/api/export",
        (429,),
        "limit shop.path_/api/export.tenant",
        headers=(("x-tenant", "green"),),
    ),
    Step(
        "per tenant, green",
        "/api/export",
        (200,),
        "limit shop.path_/api/export.tenant",
        credential="green",
    ),
    Step(
        "per namespace, web",
        "/api/stock",
        (200, 200, 429),
        "limit shop.path_/api/stock.source_namespace",
    ),
    Step(
        "per namespace, batch (other-sa)",
        "/api/stock",
        (200,),
        "limit shop.path_/api/stock.source_namespace",
        caller="other-sa",
    ),
)
STORY = (*TOKENS, *IDENTITIES_AND_PATHS, *LIMITS)


def seconds_to_wait(now_seconds: float) -> float:
    """How long to wait until the story fits into one window; 0 nearly always."""
    left = WINDOW_SECONDS - now_seconds % WINDOW_SECONDS
    return left if left < PATIENCE_SECONDS else 0.0
