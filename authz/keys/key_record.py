"""What is known of one key source: its keys, and when the issuer may be asked again. No I/O."""

from dataclasses import dataclass, field

from authz.keys.jwks import KeySet

REFRESH_SECONDS = 1200.0
"""Istio's default (`PILOT_JWT_PUB_KEY_REFRESH_INTERVAL`)."""
REFRESH_SPREAD = 0.1
"""The share of it that chance takes off, so that a thousand sidecars do not ask at once."""
FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0
"""After failures: 1, 2, 4 … 60 s. With Istio's first minute a cold start would last a minute."""
COOL_DOWN_SECONDS = 30.0
"""Between fetches that requests cause, whatever the keys are called that they name."""
UNKNOWN_SECONDS = 60.0
"""For so long a key name that a fetch did not bring causes no other; no longer, because an issuer
may sign with a key before every copy of its key set shows it."""
MAX_UNKNOWN = 1000


@dataclass(slots=True)
class KeyRecord:
    """One source. Times are seconds of a clock that only goes forward."""

    timeout_seconds: float
    """For one fetch."""
    keys: KeySet | None = None
    reason: str = "not fetched yet"
    """Why the latest fetch failed."""
    failures: int = 0
    """Fetches that failed since the latest good one."""
    due: float = float("-inf")
    """When the next fetch starts by itself."""
    asked: float = float("-inf")
    """When the latest fetch started."""
    unknown: dict[int, float] = field(default_factory=dict)
    """Hash of a key name → until when it causes no fetch, oldest first."""

    def worth_waiting(self, kid: str | None, now: float, *, under_way: bool) -> bool:
        """
        Whether a fetch may bring what a request lacks: the set, or the key `kid` that is not in it.

        `under_way`: a fetch runs already. While fetches fail nobody waits for another one: an
        issuer that is away costs its users a refusal, not a timeout.
        """
        if self.keys is None:
            return under_way or now >= self.due
        name = hash(kid)
        if self.failures or self.unknown.get(name, now) > now:
            return False
        if not under_way and now < self.asked + COOL_DOWN_SECONDS:
            return False
        self.unknown.pop(name, None)
        self.unknown[name] = now + UNKNOWN_SECONDS
        if len(self.unknown) > MAX_UNKNOWN:
            del self.unknown[next(iter(self.unknown))]
        return True

    def accept(self, keys: KeySet, now: float, chance: float) -> bool:
        """Take a fetched set; tells whether it says anything new. `chance` is in [0, 1)."""
        self.failures = 0
        self.due = now + REFRESH_SECONDS * (1 - chance * REFRESH_SPREAD)
        if self.keys is not None and self.keys.raw == keys.raw:
            return False  # the old set stays, and with it what it has verified
        self.keys = keys
        return True

    def fail(self, reason: str, now: float) -> float:
        """Keep what is here; tells after how many seconds the next fetch starts."""
        wait = min(FIRST_RETRY_SECONDS * 2.0 ** min(self.failures, 10), LAST_RETRY_SECONDS)
        self.failures += 1
        self.reason = reason
        self.due = now + wait
        return wait

    @property
    def lack(self) -> str:
        """Why no token can be verified against this source; empty when some can."""
        if self.keys is None:
            return self.reason
        return "" if self.keys.keys else "the issuer serves no usable key"
