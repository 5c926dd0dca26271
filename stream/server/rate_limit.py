"""How often something may be asked: so many at once, and so many in the long run."""

from __future__ import annotations

from collections import OrderedDict

ADDRESSES = 1024
"""So many are remembered; one that was forgotten begins with a full allowance."""


class RateLimiter:
    """A token bucket: ``burst`` at once, and ``per_second`` in the long run. Time comes in with each request."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._left, self._last = burst, 0.0

    def take(self, now: float) -> bool:
        """Whether one more is allowed at ``now`` (seconds that never go back)."""
        self._left = min(self._burst, self._left + (now - self._last) * self._per_second)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class RateLimiters:
    """An allowance for each of many, those that asked last."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._each: OrderedDict[str, RateLimiter] = OrderedDict()

    def take(self, who: str, now: float) -> bool:
        allowance = self._each.pop(who, None) or RateLimiter(self._burst, self._per_second)
        self._each[who] = allowance
        if len(self._each) > ADDRESSES:
            self._each.popitem(last=False)
        return allowance.take(now)
