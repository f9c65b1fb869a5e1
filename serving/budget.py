"""A token bucket for what a peer may cost us without getting work done for it."""


class Budget:
    """
    Starts full; refills steadily.

    Args:
        burst: tokens when full.
        per_second: tokens that come back in a second.
        now: seconds of any steady clock; the same one in `charge`.
    """

    __slots__ = ("_burst", "_per_second", "_tokens", "_updated")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._tokens, self._updated = burst, now

    def charge(self, tokens: float, now: float) -> bool:
        """
        Take tokens; False when the budget is overdrawn.

        A negative amount is earned: work done for a busy honest peer pays for what it costs.
        """
        refilled = min(self._burst, self._tokens + (now - self._updated) * self._per_second)
        self._tokens = min(self._burst, refilled - tokens)
        self._updated = now
        return self._tokens >= 0
