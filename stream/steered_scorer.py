"""Steered scorer: applies the session's commands (pin, exclude, hold, name) to snapshots; adds the director's shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from speakerlight.control import Control
from speakerlight.core.decision.commands import Steering
from speakerlight.core.decision.director import Director, DirectorSettings
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.media import AudioChunk
from speakerlight.core.snapshot import Snapshot
from speakerlight.engine import ScorerStage


class LagScorer(ScorerStage, Protocol):
    """A scorer whose lag can be set while it runs (:class:`speakerlight.core.decision.scorer.Scorer`)."""

    def set_lag(self, lag_ms: float | None) -> None: ...


class SteeredScorer:
    """A scorer whose snapshots follow the commands. ``director``: when to cut; one director serves the whole run."""

    def __init__(self, scorer: LagScorer, control: Control, director: DirectorSettings) -> None:
        self._scorer, self._control = scorer, control
        self._steering, self._director = Steering(), Director(director)
        self._lag_commands = 0

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        self._scorer.push_tracks(frame_tracks)

    def push_audio(self, chunks: Sequence[AudioChunk]) -> None:
        self._scorer.push_audio(chunks)

    def advance(self, stride: int = 1) -> list[Snapshot]:
        self._follow_lag()
        return self._steered(self._scorer.advance(stride))

    def finish(self) -> list[Snapshot]:
        return self._steered(self._scorer.finish())

    def _follow_lag(self) -> None:
        state = self._control.state
        if state.lag_commands != self._lag_commands:
            self._lag_commands = state.lag_commands
            self._scorer.set_lag(state.lag_ms)

    def _steered(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        return [self._directed(each) for each in snapshots]

    def _directed(self, snapshot: Snapshot) -> Snapshot:
        self._control.follow(snapshot.merges)
        control = self._control.at(snapshot.time)
        steered = self._steering.steer(snapshot, control)
        direction = self._director.update(
            steered, control.pinned, excluded=control.excluded, is_held=control.is_held(snapshot.time)
        )
        return replace(steered, direction=direction)
