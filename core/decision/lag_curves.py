"""Lag curves: how alike each face's lips and the sound are at every lag, averaged over the last ticks.

From tick to tick most of the cosines stay what they were: only those with new sound or of new pictures are computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from speakerlight.core.decision.lag import LAGS, MAX_LAG_TICKS
from speakerlight.core.windows import overlapping

Floats = npt.NDArray[np.float64]


class LagCurves:
    """Of the faces of successive ticks. ``weights``: of each average, what the last ``span`` ticks count, oldest first:
    [averages, span]."""

    def __init__(self, weights: Floats) -> None:
        self._weights = weights
        self.span: int = weights.shape[1]
        self._ids: list[int] = []
        self._tick = 0
        # By tick, face and lag: 0 where there was no sound.
        self._cosines = np.zeros((self.span, 0, len(LAGS)))
        self._heard = np.zeros((self.span, len(LAGS)))

    def lacks(self, ids: Sequence[int], tick: int) -> int:
        """How many of the ticks up to ``tick``, the newest ones, have cosines that are not known yet.

        All of them for other faces than last time, and after a time in which a face may have been forgotten.
        """
        passed = tick - self._tick
        is_next = list(ids) == self._ids and passed <= MAX_LAG_TICKS
        return min(self.span, MAX_LAG_TICKS + passed) if is_next else self.span

    def update(
        self,
        ids: Sequence[int],
        tick: int,
        faces: npt.NDArray[np.float32],
        sounds: npt.NDArray[np.float32],
        seen: npt.NDArray[np.bool_],
    ) -> Floats:
        """The averages for each of ``ids`` at every lag of LAGS, [averages, F, 31]; 0 where nothing is known.

        ``faces``: their unit vectors at the last N = ``lacks`` ticks, zero where one has none, [F, N, D]. ``sounds``:
        those of the ticks from MAX_LAG_TICKS before these to MAX_LAG_TICKS after them, NaN where one is not to be used,
        [N + 30, D]; none that was used before a tick ``tick − 1`` may be missing now. ``seen``: at which of the last
        ``span`` ticks a face has a vector, [F, span].
        """
        count = faces.shape[1]
        known = ~np.isnan(sounds[:, 0])
        # One product for all faces: as one for each it takes twice as long.
        products = faces.reshape(-1, faces.shape[2]) @ np.where(known[:, None], sounds, np.float32(0)).T
        shape, steps = (count, len(faces), len(LAGS)), (len(sounds) + 1, count * len(sounds), 1)
        kept = self.span - count
        passed = tick - self._tick
        if kept:
            self._cosines[:kept] = self._cosines[passed : passed + kept]
            self._heard[:kept] = self._heard[passed : passed + kept]
        else:
            self._cosines = np.empty((self.span, len(faces), len(LAGS)))
        self._cosines[kept:] = overlapping(products, shape, steps)
        self._heard[kept:] = overlapping(known, (count, len(LAGS)), (1, 1))
        self._ids, self._tick = list(ids), tick
        total = self._weights @ self._cosines.reshape(self.span, -1)
        weight = (seen * self._weights[:, None]) @ self._heard
        return np.asarray(total.reshape(weight.shape) / np.maximum(weight, 1e-9))
