"""Director's shots: who is on air, and the announced cut. (Cuts in the video itself: ``core/faces/cuts``.)"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ShotKind(StrEnum):
    """``person``: one person; ``wide``: everybody; ``nobody``: nobody in view speaks."""

    PERSON = "person"
    WIDE = "wide"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Shot:
    """What to show. ``person``: id of the person in a shot of the kind PERSON, else None."""

    kind: ShotKind
    person: int | None = None


WIDE, NOBODY = Shot(ShotKind.WIDE), Shot(ShotKind.NOBODY)


def close_up(person: int) -> Shot:
    """The shot of one person."""
    return Shot(ShotKind.PERSON, person)


@dataclass(frozen=True)
class Candidate:
    """A cut to ``shot`` is expected at ``cut_time``; it was announced at ``time`` (both in seconds of the session)."""

    time: float
    shot: Shot
    cut_time: float


@dataclass(frozen=True)
class Direction:
    """The shot on air, and the cut that is announced, if one is."""

    shot: Shot = NOBODY
    candidate: Candidate | None = None
