"""Channel choice and mixing: audio of any number of channels to mono, without losing a voice in one channel only.

A plain average loses a voice when the other channel is silent (half of it), when it is the same with opposite phase
(all of it), or when the layout marks a channel as effects. This mixer looks at the signal of each channel instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from speakerlight.core.media import Samples, cleaned
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.sources.full_scale import BLOCK_SAMPLES, FullScale

QUIET_RATIO = 10 ** (-30 / 10)
"""A channel this far below the loudest one carries noise or crosstalk only, and is dropped from the mix (30 dB)."""

CANCELLED_RATIO = 0.2
"""A mix with less than this share of the loudest channel's power is cancelled by opposite phases; independent channels
give a half or more."""

MEMORY_SECONDS = 30.0
"""Time constant of each channel's peak power: a pause of the voice is not its end."""

PHASE_SECONDS = 2.0
"""Time constant of the powers that opposite phases are judged by."""


logger = logging.getLogger(__name__)


class ChannelMixer:
    """Mono from consecutive blocks of audio, [channels, n]. Damaged samples are cleaned on the way.

    ``rate``: samples a second. ``only``: the index of the channel to use; None: the average of the channels that carry
    something, or the loudest one where the average cancels itself. ``report`` receives a line where samples are in
    other units than full scale, and one where there are fewer channels than ``only`` needs.
    """

    def __init__(
        self,
        only: int | None = None,
        rate: float = SAMPLE_RATE,
        report: Callable[[str], None] = logger.info,
    ) -> None:
        self._full_scale = FullScale(report)
        self._report = report
        self._is_missing_reported = False
        self._only = only
        self._rate = rate
        self._peaks: npt.NDArray[np.float64] = np.zeros(0)
        self._power: npt.NDArray[np.float64] = np.zeros(0)
        self._mixed_power = 0.0
        self._weights: npt.NDArray[np.float32] | None = None

    def mix(self, block: npt.NDArray[np.float32]) -> Samples:
        """Float32 [channels, n] to [n]."""
        block = self._full_scale.apply(block)
        channels, count = block.shape
        if self._only is not None and self._only >= channels and not self._is_missing_reported:
            self._is_missing_reported = True
            self._report(f"--audio-channel {self._only + 1}: its audio has no more than {channels}; the last is used")
        if channels == 1 or count == 0:
            return cleaned(block[0])
        if self._only is not None:
            return cleaned(block[min(self._only, channels - 1)])
        block = cleaned(block.ravel()).reshape(block.shape)
        mixed = [self._mixed(block[:, at : at + BLOCK_SAMPLES]) for at in range(0, count, BLOCK_SAMPLES)]
        return np.concatenate(mixed)

    def _mixed(self, block: npt.NDArray[np.float32]) -> Samples:
        before, weights = self._weights, self._updated_weights(block)
        self._weights = weights
        if before is None or len(before) != len(weights) or np.array_equal(before, weights):
            return np.asarray(weights @ block, np.float32)
        ramp = np.linspace(0, 1, block.shape[1], dtype=np.float32)  # a step would click
        return np.asarray((before @ block) * (1 - ramp) + (weights @ block) * ramp, np.float32)

    def _updated_weights(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if len(self._peaks) != len(block):
            self._peaks, self._power, self._mixed_power = np.zeros(len(block)), np.zeros(len(block)), 0.0
        seconds = block.shape[1] / self._rate
        power = np.square(block, dtype=np.float64).mean(axis=1)
        self._peaks = np.maximum(self._peaks * np.exp(-seconds / MEMORY_SECONDS), power)
        active = self._peaks >= QUIET_RATIO * self._peaks.max()
        mean = block[active].mean(axis=0)
        fade = np.exp(-seconds / PHASE_SECONDS)
        self._power = self._power * fade + seconds * power
        self._mixed_power = self._mixed_power * fade + seconds * float(np.square(mean, dtype=np.float64).mean())
        loudest = int(np.argmax(self._power))
        if self._mixed_power < CANCELLED_RATIO * self._power[loudest]:
            active = np.arange(len(block)) == loudest
        return np.asarray(active / active.sum(), np.float32)
