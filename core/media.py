"""Timed media: what sources hand to the engine. All times are seconds on the session's clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""A picture: uint8, height × width × 3, BGR (OpenCV's order)."""

Samples = npt.NDArray[np.float32]
"""Mono sound: float32, one dimension, 16 kHz, full scale ±1."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One video frame. ``time`` is when it was captured (live) or is shown (files), in seconds of the session."""

    time: float
    image: Image


@dataclass(frozen=True, eq=False)
class AudioChunk:
    """A stretch of sound without gaps. ``time`` is that of its first sample, in seconds of the session."""

    time: float
    samples: Samples
