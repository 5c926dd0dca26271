"""Rate limiter: token buckets, one in total or one per client."""

from __future__ import annotations

from collections import OrderedDict

REMEMBERED_CLIENTS = 1024
"""Maximum number of clients whose bucket is kept. A forgotten client starts with a full bucket."""


class RateLimiter:
    """A token bucket: ``burst`` at once, and ``per_second`` in the long run. The caller passes the time."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._left, self._last = burst, 0.0

    def allows(self, now: float) -> bool:
        """Whether :meth:`take` would succeed at ``now`` (seconds that never go back). Consumes nothing."""
        self._left = min(self._burst, self._left + (now - self._last) * self._per_second)
        self._last = now
        return self._left >= 1

    def take(self, now: float) -> bool:
        """Consume one token if there is one at ``now``; return whether there was."""
        if not self.allows(now):
            return False
        self._left -= 1
        return True


class RateLimiters:
    """One bucket per client, for the clients with the most recent requests."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._buckets: OrderedDict[str, RateLimiter] = OrderedDict()

    def allows(self, client: str, now: float) -> bool:
        """As ``RateLimiter.allows``, for ``client``."""
        return client not in self._buckets or self._buckets[client].allows(now)

    def take(self, client: str, now: float) -> bool:
        """As ``RateLimiter.take``, for ``client``."""
        bucket = self._buckets.pop(client, None) or RateLimiter(self._burst, self._per_second)
        self._buckets[client] = bucket
        if len(self._buckets) > REMEMBERED_CLIENTS:
            self._buckets.popitem(last=False)
        return bucket.take(now)
