"""How often a run of the demo marked the right person: two counts that grow, whatever the run's length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from speakerlight.core.demo.script import Turn
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import Snapshot, SpeakingState

COLLAR_SECONDS = 0.5
"""From a turn's start: nobody can be named before there is something to hear."""

TAIL_SECONDS = 0.8
"""After a turn's end: nobody is expected to be silent the very moment."""


@dataclass(frozen=True)
class Verdict:
    """``identity``: share of turn time in which the right person was marked; ``silence``: share of the rest in which
    nobody was. Both in [0, 1], None where there was nothing to judge.
    """

    identity: float | None
    silence: float | None

    def __str__(self) -> str:
        shares = (
            ("right person marked in {:.1%} of the turns' time", self.identity),
            ("nobody marked in {:.1%} of the silence", self.silence),
        )
        told = [text.format(share) for text, share in shares if share is not None]
        return "demo: " + (", ".join(told) or "too short to judge")


class Judge:
    """Holds snapshots against the truth, one after the other. ``turns(start, end)`` gives the turns of a stretch."""

    def __init__(self, tiles: Sequence[Box], turns: Callable[[float, float], Sequence[Turn]]) -> None:
        self._tiles, self._turns = tiles, turns
        self._spoken = self._right = self._quiet = self._unmarked = 0

    def push(self, snapshot: Snapshot) -> None:
        """Count one snapshot."""
        primary = next((face.box for face in snapshot.faces if face.id == snapshot.primary), None)
        speaking = snapshot.state is SpeakingState.SPEAKING
        self.count(snapshot.time, speaking, primary.centre if speaking and primary else None)

    def count(self, time: float, marked: bool, centre: tuple[float, float] | None) -> None:
        """Count one tick: was anybody ``marked``, and where is the centre of that face (pixels)?"""
        near = [turn for turn in self._turns(time - TAIL_SECONDS, time + 1e-6) if turn.tile is not None]
        now = [turn for turn in near if turn.start <= time < turn.end]
        if now and all(time >= turn.start + COLLAR_SECONDS for turn in now):
            self._spoken += 1
            self._right += any(self._inside(turn, centre) for turn in now)
        elif not near:
            self._quiet += 1
            self._unmarked += not marked

    def verdict(self) -> Verdict:
        """The shares so far."""
        return Verdict(
            self._right / self._spoken if self._spoken else None,
            self._unmarked / self._quiet if self._quiet else None,
        )

    def _inside(self, turn: Turn, centre: tuple[float, float] | None) -> bool:
        if centre is None or turn.tile is None:
            return False
        tile = self._tiles[turn.tile]
        return tile.x <= centre[0] < tile.x + tile.width and tile.y <= centre[1] < tile.y + tile.height
