"""Timed media: frames and audio chunks as sources deliver them, and the removal of damaged samples (NaN, Inf).

All times are session seconds.
"""

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
    """``samples`` without damage: NaN, ±Inf and values beyond ±LOUDEST_SAMPLE become 0.

    One NaN would otherwise stay in every recurrent state that it reaches, and a burst of huge values for seconds.
    """
    is_audio = np.abs(samples) <= LOUDEST_SAMPLE  # false for NaN
    return samples if is_audio.all() else np.where(is_audio, samples, np.float32(0.0))
