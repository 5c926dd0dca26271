"""An engine for the drivers' tests: quick, and each snapshot shows which frame and which audio it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from time import sleep

import numpy as np

from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Image
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK
from speakerlight.engine import Engine

LOOKAHEAD_TICKS = 4


class StandInVision:
    """One face, whose box is as wide as the frame is bright. ``seconds``: how long a look takes."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.strides: list[int] = []

    def process(self, tick: int, time: float, image: Image, stride: int = 1) -> FrameTracks:
        sleep(self.seconds / stride)
        self.strides.append(stride)
        box = Box(0, 0, float(image[-1].mean()) + 1, 10)
        face = TrackedFace(1, box, np.zeros((6, 2)))
        return FrameTracks(tick, time, (face,), (np.zeros((4, 4), np.uint8),))


class StandInScorer:
    """Speech is the loudness around the tick; every face in view speaks. Decides LOOKAHEAD_TICKS later."""

    def __init__(self, has_audio: bool = True) -> None:
        self._has_audio = has_audio
        self._seen: list[FrameTracks] = []
        self.samples = np.zeros(0, np.float32)
        self._newest = -1

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        for tracks in frame_tracks:
            assert tracks.tick > self._newest
            self._newest = tracks.tick
            self._seen.append(tracks)

    def push_audio(self, chunks: Sequence[AudioChunk]) -> None:
        for chunk in chunks:
            assert round(chunk.time * SAMPLE_RATE) == len(self.samples)
            self.samples = np.concatenate([self.samples, chunk.samples])

    def advance(self, stride: int = 1) -> list[Snapshot]:
        received = len(self.samples) // SAMPLES_PER_TICK if self._has_audio else self._newest + 1
        last = min(self._newest, received - 1) - LOOKAHEAD_TICKS
        return self._decided(last, stride)

    def finish(self) -> list[Snapshot]:
        return self._decided(self._newest, 1)

    def _decided(self, last: int, stride: int) -> list[Snapshot]:
        ready = [tracks for tracks in self._seen if tracks.tick <= last]
        self._seen = self._seen[len(ready) :]
        return [self._snapshot(tracks) for tracks in ready if tracks.tick % stride == 0]

    def _snapshot(self, tracks: FrameTracks) -> Snapshot:
        first = tracks.tick * SAMPLES_PER_TICK
        audio = self.samples[first : first + 2 * SAMPLES_PER_TICK]
        speech = float(np.abs(audio).max(initial=0.0))
        speaking = speech > 0.01
        faces = tuple(FaceScore(face.id, face.box, speech, speaking) for face in tracks.faces)
        state = (
            SpeakingState.SPEAKING
            if speaking and faces
            else SpeakingState.OFFSCREEN
            if speaking
            else SpeakingState.SILENCE
        )
        primary = faces[0].id if state is SpeakingState.SPEAKING else None
        return Snapshot(tracks.tick, tracks.time, speech, faces, state, primary, Lag(0.0, 0.0))


def stand_in(has_audio: bool = True) -> Engine:
    return Engine(StandInVision(), StandInScorer(has_audio))
