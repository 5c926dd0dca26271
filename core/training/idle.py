"""Idle faces: people who do not speak (frozen video, pauses, chewing), made from clips of people who do."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.timebase import SAMPLES_PER_TICK, TICK_RATE
from speakerlight.core.training.augmentation import tracked_anew
from speakerlight.core.training.clips import TalkingFace

Crops = npt.NDArray[np.uint8]

_FROZEN, _CHEWING = 0.2, 0.2
"""Shares of idle faces that are frozen, and that chew; the others listen."""

_LEAST_SWING, _MOST_SWING = 8, 30
"""Range of the length in ticks of the quiet part of a clip that a listener is made of."""

_CHEWS_A_SECOND = (0.9, 2.2)
"""Range of chewing rates in Hz: people chew once to twice a second."""
_JAW_PIXELS = (1.5, 6.0)
"""Range of the chin's movement in pixels of the 96-pixel crop, which shows mouth, chin and cheeks."""


def idle_crops(face: TalkingFace, ticks: int, rng: np.random.Generator) -> Crops:
    """[ticks, 96, 96] of a person who is frozen, listens or chews."""
    kind = rng.random()
    if kind >= _FROZEN + _CHEWING:
        return listening(face, ticks, rng)
    frame = int(rng.integers(len(face.crops)))
    held = np.repeat(face.crops[frame : frame + 1], ticks, 0)
    return held if kind < _FROZEN else chewing(held, rng)


def listening(face: TalkingFace, ticks: int, rng: np.random.Generator) -> Crops:
    """[ticks, 96, 96] of a listener: a quiet part of a clip, played forwards and backwards, tracked anew each time.

    Without the tracker's errors the way back mirrors the way there to the pixel. The network learnt that sign instead
    of how a mouth moves, and saw speech in listeners before a camera.
    """
    span = min(int(rng.integers(_LEAST_SWING, _MOST_SWING + 1)), len(face.crops))
    audio = face.samples[: len(face.crops) * SAMPLES_PER_TICK].reshape(-1, SAMPLES_PER_TICK)
    quiet = int(np.argmin(np.convolve(audio.std(axis=1), np.ones(span), "valid")))
    swing = np.concatenate([np.arange(span), np.arange(span - 2, 0, -1)]) + quiet
    return tracked_anew(face.crops[np.resize(np.roll(swing, -int(rng.integers(len(swing)))), ticks)], rng)


def chewing(crops: Crops, rng: np.random.Generator) -> Crops:
    """Crops whose jaw moves down and aside in a steady rhythm; the lips keep still. Keeps the shape."""
    side = crops.shape[1]
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * rng.uniform(*_CHEWS_A_SECOND) * np.arange(len(crops)) / TICK_RATE
    down = rng.uniform(*_JAW_PIXELS) * (0.5 - 0.5 * np.cos(phase)) * rng.uniform(0.7, 1.0, len(crops))
    aside = rng.uniform(0, 2.5) * np.sin(phase)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    # The chin moves fully, nothing above the upper lip moves, the outer cheeks move less than the middle.
    share = np.clip((y / side - 0.48) / 0.25, 0, 1) * np.exp(-(((x / side - 0.5) / 0.35) ** 2))
    return np.stack(
        [
            cv2.remap(
                crop,
                (x - a * share).astype(np.float32),
                (y - d * share).astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for crop, d, a in zip(crops, down, aside, strict=True)
        ]
    ).astype(np.uint8)
