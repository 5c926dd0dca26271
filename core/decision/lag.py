"""The lag between sound and picture: one for the room, slowly followed, and what each face differs from it.

A room's camera and microphone have one lag. The tiles of a video call or of a split screen each come with a delay of
their own, so every face keeps a lag near the room's, learnt while it is the one that speaks.

When a stream was held up on its way, the lag slips. By the old one nobody's lips fit then, so the lag would be learnt
from whoever fits by chance. That somebody's lips fit at a lag that nobody is believed to have gives it away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from speakerlight.core.decision.settings import LagSettings
from speakerlight.core.snapshot import Lag
from speakerlight.core.timebase import TICK_RATE

MAX_LAG_TICKS = 15
"""Lags from −15 to +15 ticks (±600 ms) are compared, as SyncNet's authors do (FACTS: offset and confidence)."""

LAGS = np.arange(-MAX_LAG_TICKS, MAX_LAG_TICKS + 1)

Curves = npt.NDArray[np.float64]
"""How far the similarity at each lag of LAGS stands above the face's median over lags: faces × 31."""

_NEAR = np.arange(-2, 3)
"""So many ticks from a lag that is believed, it still explains what fits."""

_NOTHING_YET = np.zeros(len(LAGS))
"""What is known of the lag of a face that has not spoken yet."""
_NOTHING_YET.flags.writeable = False


class RoomLag:
    """Follows the lag of the room and of each face; the room's may be set by hand instead."""

    def __init__(self, settings: LagSettings, fixed_ms: float | None = None) -> None:
        self._settings = settings
        self._fixed_ms = fixed_ms
        self._room = np.zeros(len(LAGS))
        self._faces: dict[int, npt.NDArray[np.float64]] = {}
        self._anybody = np.zeros(len(LAGS))
        self._explained = 0.0
        self._heard_seconds = 0.0
        apart = LAGS[:, None] - LAGS
        self._near = np.exp(-0.5 * (apart / settings.face_ticks) ** 2)
        self._believe()

    def _believe(self) -> None:
        """What is asked many times a tick, after each change."""
        self._weights = self._room_weights()
        self._likeliest = int(np.argmax(self._weights))
        self._prior = np.log(self._near @ self._weights + 1e-9)

    def weights(self, ids: Sequence[int]) -> Curves:
        """How believable each lag is for each face: faces × 31, rows sum to 1."""
        return _believed(self._scores(ids))

    def _scores(self, ids: Sequence[int]) -> Curves:
        own = np.array([self._faces.get(i, _NOTHING_YET) for i in ids]).reshape(-1, len(LAGS))
        return np.asarray(self._prior + self._settings.face_sharpness * own)

    def update(self, ids: Sequence[int], curves: Curves, speaker: int, seconds: float) -> None:
        """Take ``seconds`` of speech, of which ``curves[speaker]`` is the one that should peak."""
        s = self._settings
        believed = self._scores(ids).argmax(axis=1)
        self._heard_seconds += seconds
        rise = curves[speaker]
        self._room += (rise - self._room) * min(1.0, seconds / s.room_seconds)
        kept = {i: self._faces.get(i, _NOTHING_YET) for i in ids}
        kept[ids[speaker]] = kept[ids[speaker]] + (rise - kept[ids[speaker]]) * min(1.0, seconds / s.face_seconds)
        self._faces = kept
        if self._fixed_ms is None and self._has_slipped(curves, believed, seconds):
            self._room, self._faces = self._anybody.copy(), {}
            self._explained = float(self._anybody.max())
        self._believe()

    def _has_slipped(self, curves: Curves, believed: npt.NDArray[np.int_], seconds: float) -> bool:
        """Whether for some time somebody's lips have fitted clearly better at some lag than anybody's near the lag that
        is ``believed`` of them (indices into LAGS)."""
        s = self._settings
        share = min(1.0, seconds / s.slip_seconds)
        near = (believed[:, None] + _NEAR).clip(0, len(LAGS) - 1)
        explained = float(curves[np.arange(len(curves))[:, None], near].max())
        self._anybody += (curves.max(axis=0) - self._anybody) * share
        self._explained += (explained - self._explained) * share
        return bool(self._anybody.max() - self._explained > s.slip_rise)

    def _room_weights(self) -> npt.NDArray[np.float64]:
        s = self._settings
        if self._fixed_ms is not None:
            return _believed(-0.5 * ((LAGS - self._fixed_ms * TICK_RATE / 1000) / 0.7) ** 2)
        return _believed(s.room_sharpness * self._room - 0.5 * (LAGS / s.prior_ticks) ** 2)

    @property
    def certainty(self) -> float:
        """How far in [0, 1] the lag is known: it grows with the first seconds of speech."""
        return 1.0 if self._fixed_ms is not None else min(1.0, self._heard_seconds / self._settings.settle_seconds)

    @property
    def ticks(self) -> int:
        """The room's most believable lag in whole ticks."""
        return self._likeliest - MAX_LAG_TICKS

    def value(self) -> Lag:
        """The room's lag, between ticks by its nearest lags' weights; confidence: the belief within ±2 ticks of it."""
        if self._fixed_ms is not None:
            return Lag(self._fixed_ms, 1.0)
        weights = self._weights
        k = self._likeliest
        near = slice(max(0, k - 1), k + 2)
        lag = float((LAGS[near] * weights[near]).sum() / weights[near].sum())
        return Lag(lag * 1000 / TICK_RATE, float(weights[max(0, k - 2) : k + 3].sum()))


def _believed(score: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    weights = np.exp(score - score.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
