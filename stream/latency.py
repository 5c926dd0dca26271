"""Latency percentiles in fixed memory, however long the run: a histogram with logarithmic bins."""

from __future__ import annotations

import math

import numpy as np

from speakerlight.core.events import Percentiles

SHORTEST_MS, LONGEST_MS = 0.1, 100_000.0
"""Range of the histogram; anything shorter or longer counts as the bound."""

BINS_PER_DOUBLING = 32
"""Neighbouring bins are 2^(1/32) = 2.2 % apart, so a percentile is off by at most 1.1 %."""


class LatencyHistogram:
    """Counts latencies in milliseconds; 5 kB, one addition a value."""

    def __init__(self) -> None:
        self._counts = np.zeros(_bin(LONGEST_MS) + 1, np.int64)

    def add(self, milliseconds: float) -> None:
        """Count one latency. What is not finite is ignored."""
        if math.isfinite(milliseconds):
            self._counts[_bin(milliseconds)] += 1

    def percentiles(self) -> Percentiles:
        """The 50th, 95th and 99th percentile, each within 1.1 % of the exact (nearest-rank) one."""
        return Percentiles(self._percentile(0.50), self._percentile(0.95), self._percentile(0.99))

    def _percentile(self, share: float) -> float | None:
        total = int(self._counts.sum())
        if not total:
            return None
        rank = math.ceil(share * total)
        bin_index = int(np.searchsorted(self._counts.cumsum(), rank))
        return float(SHORTEST_MS * 2.0 ** (bin_index / BINS_PER_DOUBLING))


def _bin(milliseconds: float) -> int:
    bounded = min(max(milliseconds, SHORTEST_MS), LONGEST_MS)
    return round(BINS_PER_DOUBLING * math.log2(bounded / SHORTEST_MS))
