"""Scores a run of the demo against its ground truth: who was marked, second faces, off-screen turns, calibration.

Memory does not grow with the length of the run: the judge keeps counts only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from speakerlight.core.demo.script import ScriptedTurn
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, Snapshot, SpeakingState

COLLAR_SECONDS = 0.5
"""Start of a turn that is not judged: a speaker cannot be known before there is evidence."""

TAIL_SECONDS = 0.8
"""Time after a turn that is not judged: silence cannot be known the moment it begins."""

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Verdict:
    """Shares in [0, 1] of judged ticks; None where there was none to judge.

    ``identity``: of ticks in turns of people in view, those in which the right person was the primary speaker.
    ``silence``: of the ticks without a turn in view, off-screen turns included, those in which no face was.
    ``second``: of ticks in turns of people in view, those in which two or more faces were marked as speaking.
    ``offscreen``: of ticks in off-screen turns, those whose state was ``offscreen``.
    ``calibration_error``: expected calibration error of the faces' ``score`` in ten bins, against who speaks.
    ``brier``: mean squared error of the faces' ``score``.
    """

    identity: float | None
    silence: float | None
    second: float | None = None
    offscreen: float | None = None
    calibration_error: float | None = None
    brier: float | None = None

    def __str__(self) -> str:
        shares = (
            ("right person marked in {:.1%} of the turns", self.identity),
            ("nobody marked in {:.1%} of the rest", self.silence),
            ("a second face in {:.1%}", self.second),
            ("off-screen turns reported in {:.1%}", self.offscreen),
            ("calibration error {:.3f}", self.calibration_error),
        )
        parts = [text.format(share) for text, share in shares if share is not None]
        return "demo: " + (", ".join(parts) or "too short to judge")


class Share:
    """Hits among trials."""

    def __init__(self) -> None:
        self.hits = self.trials = 0

    def add(self, hit: bool) -> None:
        self.hits += hit
        self.trials += 1

    @property
    def value(self) -> float | None:
        return self.hits / self.trials if self.trials else None


class Judge:
    """Compares snapshots with the ground truth one by one.

    ``turns(start, end)`` returns the turns that overlap a time span in seconds; ``tiles``: where each person is.
    """

    def __init__(self, tiles: Sequence[Box], turns: Callable[[float, float], Sequence[ScriptedTurn]]) -> None:
        self._tiles, self._turns = tiles, turns
        self._identity, self._silence, self._second, self._offscreen = Share(), Share(), Share(), Share()
        self._bins = np.zeros((CALIBRATION_BINS, 3))
        """Per bin of scores: how many, their sum, how many of these faces spoke."""
        self._squared_error = 0.0

    def push(self, snapshot: Snapshot) -> None:
        """Count one snapshot."""
        speaking = snapshot.state is SpeakingState.SPEAKING
        primary = next((face.box for face in snapshot.faces if face.id == snapshot.primary), None)
        self.count(snapshot.time, speaking, primary.centre if speaking and primary else None)
        near, now = self._around(snapshot.time)
        if not now and near:
            return
        if any(snapshot.time < turn.start + COLLAR_SECONDS for turn in now):
            return
        if any(turn.tile is None for turn in now):
            self._offscreen.add(snapshot.state is SpeakingState.OFFSCREEN)
        elif now:
            self._second.add(sum(face.speaking for face in snapshot.faces) > 1)
        for face in snapshot.faces:
            self._count_score(face, any(self._inside(turn, face.box.centre) for turn in now))

    def count(self, time: float, marked: bool, centre: tuple[float, float] | None) -> None:
        """Count identity and silence of one tick. ``marked``: there was a primary speaker; ``centre``: of that face."""
        near, now = ([turn for turn in turns if turn.tile is not None] for turns in self._around(time))
        if now and all(time >= turn.start + COLLAR_SECONDS for turn in now):
            self._identity.add(any(self._inside(turn, centre) for turn in now))
        elif not near:
            self._silence.add(not marked)

    def verdict(self) -> Verdict:
        """The shares so far."""
        counts, scores, spoken = self._bins.T
        total = counts.sum()
        error = float(np.abs(scores - spoken).sum() / total) if total else None
        brier = float(self._squared_error / total) if total else None
        return Verdict(
            self._identity.value, self._silence.value, self._second.value, self._offscreen.value, error, brier
        )

    def reliability(self) -> list[tuple[int, float, float]]:
        """Per non-empty bin of scores: faces counted, their mean score, the share of them that spoke."""
        return [(int(n), float(score / n), float(spoken / n)) for n, score, spoken in self._bins if n]

    def _around(self, time: float) -> tuple[list[ScriptedTurn], list[ScriptedTurn]]:
        """The turns of the last ``TAIL_SECONDS``, and those of them that go on at ``time``."""
        near = list(self._turns(time - TAIL_SECONDS, time + 1e-6))
        return near, [turn for turn in near if turn.start <= time < turn.end]

    def _count_score(self, face: FaceScore, speaks: bool) -> None:
        row = min(int(face.score * CALIBRATION_BINS), CALIBRATION_BINS - 1)
        self._bins[row] += (1.0, face.score, speaks)
        self._squared_error += (face.score - speaks) ** 2

    def _inside(self, turn: ScriptedTurn, centre: tuple[float, float] | None) -> bool:
        return centre is not None and turn.tile is not None and self._tiles[turn.tile].contains(centre)
