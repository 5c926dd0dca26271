"""Steered scorer: what the engine decides, as the session's commands want it."""

from __future__ import annotations

from collections.abc import Sequence

from speakerlight.control import Control
from speakerlight.core.decision.control import Steering
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import AudioChunk
from speakerlight.core.snapshot import Snapshot
from speakerlight.engine import ScorerStage


class SteeredScorer:
    """A scorer whose snapshots follow the commands."""

    def __init__(self, scorer: ScorerStage, control: Control) -> None:
        self._scorer, self._control = scorer, control
        self._steering = Steering()

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        self._scorer.push_tracks(frame_tracks)

    def push_audio(self, chunks: Sequence[AudioChunk]) -> None:
        self._scorer.push_audio(chunks)

    def advance(self, stride: int = 1) -> list[Snapshot]:
        return self._steered(self._scorer.advance(stride))

    def finish(self) -> list[Snapshot]:
        return self._steered(self._scorer.finish())

    def _steered(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        return [self._steering.steer(each, self._control.at(each.time)) for each in snapshots]
