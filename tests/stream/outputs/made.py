"""Made-up snapshots, frames and audios for the tests of outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.timebase import SAMPLE_RATE


def snapshot(
    time: float, speaking: Sequence[int] = (), people: Sequence[int] = (1, 2), width: float = 100, speech: float = 0.5
) -> Snapshot:
    """People side by side, ``width`` pixels each; the first of ``speaking`` is the primary speaker."""
    faces = tuple(
        FaceScore(person, Box(width * k, 20, width, width), 0.9 if person in speaking else 0.1, person in speaking)
        for k, person in enumerate(people)
    )
    state = SpeakingState.SPEAKING if speaking else SpeakingState.SILENCE
    return Snapshot(round(time * 25), time, speech, faces, state, speaking[0] if speaking else None, Lag(0.0, 0.0))


def frame(time: float, grey: int = 60, width: int = 320, height: int = 180) -> Frame:
    return Frame(time, np.full((height, width, 3), grey, np.uint8))


def silence(time: float, seconds: float) -> AudioChunk:
    return AudioChunk(time, np.zeros(round(seconds * SAMPLE_RATE), np.float32))
