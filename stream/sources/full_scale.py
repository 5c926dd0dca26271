"""Full scale: float audio that was written in other units, such as those of 16-bit integers, scaled to ±1."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from speakerlight.core.media import LOUDEST_SAMPLE

BLOCK_SAMPLES = 320
"""Levels are measured over this many samples: 20 ms at 16 kHz."""

TYPICAL, PEAK = 0.9, 0.99
"""Quantiles of a block's magnitudes: one that damaged samples between good ones do not reach, and one that a few of
them do not."""

CONFIRMING_BLOCKS = 10
"""0.2 s of blocks that are too loud, less the others meanwhile, are other units; less is a burst of damage."""

RETURNING_BLOCKS = 500
"""10 s of blocks that full scale would hold: what was loud before was damage."""

LARGEST_SCALE = 2.0**32
"""Beyond the units of 32-bit integers it is damage: bytes that are no samples have magnitudes of 2**100."""

logger = logging.getLogger(__name__)


class FullScale:
    """Divides consecutive blocks of audio by their peak so far once they are known to be in other units.

    Up to 18 dB above full scale (LOUDEST_SAMPLE) everything stays as it is. ``report`` receives one line.
    """

    def __init__(self, report: Callable[[str], None] = logger.info) -> None:
        self._report = report
        self._loud_blocks = self._normal_blocks = 0
        self._scale = 1.0

    def apply(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Float32 [channels, n] to the same shape. NaN, Inf and single spikes are left for ``cleaned``."""
        if self._scale == 1.0 and float(np.abs(block).max(initial=0.0)) <= LOUDEST_SAMPLE:  # not so for NaN
            self._loud_blocks = 0
            return block
        places = range(0, block.shape[1], BLOCK_SAMPLES)
        return np.concatenate([self._applied(block[:, at : at + BLOCK_SAMPLES]) for at in places], axis=1)

    def _applied(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        loudness = np.nan_to_num(np.abs(block), nan=0.0, posinf=np.inf).ravel()
        typical, peak = np.quantile(loudness, (TYPICAL, PEAK), method="lower")
        is_loud = LOUDEST_SAMPLE < typical <= LARGEST_SCALE
        self._loud_blocks = max(0, self._loud_blocks + (1 if is_loud else -1))
        self._normal_blocks = self._normal_blocks + bool(typical) if typical <= LOUDEST_SAMPLE else 0
        if self._normal_blocks >= RETURNING_BLOCKS:
            self._scale = 1.0
        if peak <= LARGEST_SCALE and (self._scale > 1.0 or self._loud_blocks >= CONFIRMING_BLOCKS):
            if self._scale == 1.0:
                self._report("its audio is not within ±1, as that of float samples should be; it is scaled down")
            self._scale = max(self._scale, float(peak))
        return block if self._scale == 1.0 else np.asarray(block / self._scale, np.float32)
