"""An engine for the drivers' tests: quick, and every snapshot tells which picture and which sound it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from time import sleep

import numpy as np

from core.geometry import Box
from core.media import Image, Sound
from core.snapshot import FaceScore, Lag, Snapshot, State
from core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK
from core.tracking import TrackedFace
from core.vision import Sighting
from stream.engine import Engine

LOOKAHEAD_TICKS = 4


class StandInVision:
    """One face, whose box is as wide as the picture is bright. ``seconds``: how long a look takes."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.strides: list[int] = []

    def process(self, tick: int, time: float, image: Image, stride: int = 1) -> Sighting:
        sleep(self.seconds / stride)
        self.strides.append(stride)
        box = Box(0, 0, float(image[-1].mean()) + 1, 10)
        face = TrackedFace(1, box, np.zeros((6, 2)), 1.0)
        return Sighting(tick, time, (face,), (np.zeros((4, 4), np.uint8),))


class StandInScorer:
    """Speech is the loudness around the tick, and whoever is in view speaks. Decides LOOKAHEAD_TICKS later."""

    def __init__(self, has_sound: bool = True) -> None:
        self._has_sound = has_sound
        self._seen: list[Sighting] = []
        self._samples = np.zeros(0, np.float32)
        self._newest = -1

    def see(self, sightings: Sequence[Sighting]) -> None:
        for sighting in sightings:
            assert sighting.tick > self._newest
            self._newest = sighting.tick
            self._seen.append(sighting)

    def hear(self, sounds: Sequence[Sound]) -> None:
        for sound in sounds:
            assert round(sound.time * SAMPLE_RATE) == len(self._samples)
            self._samples = np.concatenate([self._samples, sound.samples])

    def advance(self, stride: int = 1) -> list[Snapshot]:
        heard = len(self._samples) // SAMPLES_PER_TICK if self._has_sound else self._newest + 1
        last = min(self._newest, heard - 1) - LOOKAHEAD_TICKS
        return self._decided(last, stride)

    def finish(self) -> list[Snapshot]:
        return self._decided(self._newest, 1)

    def _decided(self, last: int, stride: int) -> list[Snapshot]:
        ready = [sighting for sighting in self._seen if sighting.tick <= last]
        self._seen = self._seen[len(ready) :]
        return [self._snapshot(sighting) for sighting in ready if sighting.tick % stride == 0]

    def _snapshot(self, sighting: Sighting) -> Snapshot:
        first = sighting.tick * SAMPLES_PER_TICK
        sound = self._samples[first : first + 2 * SAMPLES_PER_TICK]
        speech = float(np.abs(sound).max(initial=0.0))
        speaking = speech > 0.01
        faces = tuple(FaceScore(face.id, face.box, speech, speaking) for face in sighting.faces)
        state = State.SPEAKING if speaking and faces else State.OFFSCREEN if speaking else State.SILENCE
        primary = faces[0].id if state is State.SPEAKING else None
        return Snapshot(sighting.tick, sighting.time, speech, faces, state, primary, Lag(0.0, 0.0))


def stand_in(has_sound: bool = True) -> Engine:
    return Engine(StandInVision(), StandInScorer(has_sound))
