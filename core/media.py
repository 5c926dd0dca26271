"""Timed media: frames and audio chunks as sources hand them on. All times are seconds on the session clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""One image: uint8, height × width × 3, BGR (OpenCV's order)."""

Samples = npt.NDArray[np.float32]
"""Mono audio: float32, one dimension, 16 kHz, full scale ±1."""

LOUDEST_SAMPLE = 8.0
"""Largest magnitude that counts as audio: 18 dB above full scale. Float recordings exceed ±1 when they are mixed too
loud; what lies beyond this is damage."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One video frame. ``time`` is when it was captured (live) or is shown (files), in seconds of the session."""

    time: float
    image: Image


@dataclass(frozen=True, eq=False)
class AudioChunk:
    """Consecutive audio samples without gaps. ``time`` is that of the first sample, in seconds of the session."""

    time: float
    samples: Samples


def cleaned(samples: Samples) -> Samples:
    """``samples`` without damage: NaN and ±Inf become 0, other values are limited to ±LOUDEST_SAMPLE.

    One NaN would otherwise stay in every recurrent state that it reaches.
    """
    if len(samples) == 0 or np.abs(samples).max() <= LOUDEST_SAMPLE:  # false for NaN
        return samples
    finite = np.where(np.isfinite(samples), samples, np.float32(0.0))
    return np.asarray(finite.clip(-LOUDEST_SAMPLE, LOUDEST_SAMPLE), np.float32)
