"""The room lag: how much later the sound comes than the picture, taken from the faces that peak and slowly followed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.settings import LagSettings
from core.snapshot import Lag
from core.timebase import TICK_RATE

MAX_LAG_TICKS = 15
"""Lags from −15 to +15 ticks (±600 ms) are compared, as SyncNet's authors do (FACTS: offset and confidence)."""

LAGS = np.arange(-MAX_LAG_TICKS, MAX_LAG_TICKS + 1)

Curve = npt.NDArray[np.float64]
"""Similarity at each lag of LAGS: 31 values."""


class RoomLag:
    """Follows one lag for everybody in the picture; or holds one that was set by hand.

    ``weights`` says how believable each lag is (31 values, sum 1): broad at first, a peak once people have spoken.
    """

    def __init__(self, settings: LagSettings, fixed_ms: float | None = None) -> None:
        self._settings = settings
        self._fixed_ms = fixed_ms
        self._prior = -0.5 * (LAGS / settings.prior_ticks) ** 2
        self._evidence = np.zeros(len(LAGS))
        self.weights: Curve = np.zeros(len(LAGS))
        self._weigh()

    def update(self, curves: npt.NDArray[np.float64], speech: float) -> None:
        """Take one tick's curves of all faces (faces × 31, similarity averaged over about a second)."""
        s = self._settings
        if self._fixed_ms is not None or not len(curves) or speech < s.min_speech:
            return
        rise = curves - np.median(curves, axis=1, keepdims=True)
        # The face that peaks most is the one that speaks; the others only add noise.
        peak = rise[int(np.argmax(rise.max(axis=1)))]
        self._evidence += (peak - self._evidence) / (s.memory_seconds * TICK_RATE)
        self._weigh()

    def _weigh(self) -> None:
        if self._fixed_ms is not None:
            score = -0.5 * ((LAGS - self._fixed_ms * TICK_RATE / 1000) / 0.7) ** 2
        else:
            score = self._prior + self._settings.sharpness * self._evidence
        self.weights = np.exp(score - score.max())
        self.weights /= self.weights.sum()

    @property
    def ticks(self) -> int:
        """The most believable lag in whole ticks."""
        return int(LAGS[int(np.argmax(self.weights))])

    def value(self) -> Lag:
        """The lag between the ticks by a parabola through the peak; confidence: how much of the belief lies there."""
        if self._fixed_ms is not None:
            return Lag(self._fixed_ms, 1.0)
        k = int(np.argmax(self.weights))
        near = self.weights[max(0, k - 1) : k + 2]
        offset = float((LAGS[max(0, k - 1) : k + 2] * near).sum() / near.sum())
        spread = float(self.weights[max(0, k - 2) : k + 3].sum())
        return Lag(offset * 1000 / TICK_RATE, spread)
