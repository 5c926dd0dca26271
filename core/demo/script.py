"""Who speaks when, and what everybody else does meanwhile: written a minute at a time from a seed.

Any minute can be written without those before it: an endless demo needs no memory, and any moment can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from speakerlight.core.demo.articulation import Curve, chew, grin, keep_still, talk
from speakerlight.core.geometry import Box

MINUTE = 60.0
GRID = 25
"""Turns begin and end on this many points a second."""

TURN_SECONDS = (2.0, 5.0)
GAP_SECONDS = (0.3, 1.2)
SHORTEST_SECONDS = 1.0
OFFSCREEN_SHARE = 0.1
"""Share of the turns, none in the first 20 s of a minute, that are spoken by somebody out of the picture."""


@dataclass(frozen=True)
class Turn:
    """Somebody is heard from ``start`` to ``end`` seconds. ``tile``: who it is; None for a voice from off screen."""

    tile: int | None
    start: float
    end: float


@dataclass(frozen=True)
class Truth:
    """What a run of the demo is held against: a picture's size in pixels, everybody's tile, and the turns in order."""

    size: tuple[int, int]
    tiles: tuple[Box, ...]
    turns: tuple[Turn, ...]

    def as_json(self) -> dict[str, Any]:
        """``size``, ``tiles``, ``turns`` of people in the picture, and ``offscreen`` ones: numbers and lists only."""
        return {
            "size": list(self.size),
            "tiles": [[b.x, b.y, b.width, b.height] for b in self.tiles],
            "turns": [{"tile": t.tile, "start": t.start, "end": t.end} for t in self.turns if t.tile is not None],
            "offscreen": [{"start": t.start, "end": t.end} for t in self.turns if t.tile is None],
            "lag_ms": 0,
        }


class Doing(StrEnum):
    """What a person's mouth is at."""

    SPEAKING = "speaking"
    MOUTHING = "mouthing"
    """Talk that nobody hears."""
    CHEWING = "chewing"
    SMILING = "smiling"
    STILL = "still"


@dataclass(frozen=True)
class Spell:
    """A person is at one thing from ``start`` to ``end`` seconds; begins and ends with the mouth at rest."""

    doing: Doing
    start: float
    end: float


IDLE_SHARES = {Doing.MOUTHING: 0.5, Doing.CHEWING: 0.12, Doing.SMILING: 0.13, Doing.STILL: 0.25}


def turns_of_minute(minute: int, people: int, seed: int, stop: float) -> tuple[Turn, ...]:
    """The turns that begin in a minute; all end within it, and by ``stop`` seconds."""
    rng = np.random.default_rng([seed, 3, minute])
    begin, end = minute * MINUTE, min((minute + 1) * MINUTE, stop)
    turns: list[Turn] = []
    now, last = begin + 0.5, -1
    while (length := min(rng.uniform(*TURN_SECONDS), end - now)) >= SHORTEST_SECONDS:
        tile: int | None = int(rng.choice([i for i in range(people) if i != last or people == 1]))
        if rng.random() < OFFSCREEN_SHARE and now - begin > 20:
            tile = None
        turns.append(Turn(tile, _on_grid(now), _on_grid(now + length)))
        last, now = -1 if tile is None else tile, now + length + rng.uniform(*GAP_SECONDS)
    return tuple(turns)


def spells_of_minute(minute: int, person: int, turns: tuple[Turn, ...], seed: int) -> tuple[Spell, ...]:
    """What ``person`` does all through a minute whose turns are given."""
    rng = np.random.default_rng([seed, 4, minute, person])
    spells: list[Spell] = []
    now = minute * MINUTE
    own = [Spell(Doing.SPEAKING, turn.start, turn.end) for turn in turns if turn.tile == person]
    for spell in [*own, Spell(Doing.STILL, (minute + 1) * MINUTE, (minute + 1) * MINUTE)]:
        spells += _idle(now, spell.start, rng)
        spells.append(spell)
        now = spell.end
    return tuple(spells[:-1])


def _idle(start: float, end: float, rng: np.random.Generator) -> list[Spell]:
    """Spells that fill a gap, of 2–6 s each."""
    spells: list[Spell] = []
    shares = list(IDLE_SHARES.values())
    while start < end:
        doing = list(IDLE_SHARES)[rng.choice(len(shares), p=shares)]
        until = min(_on_grid(start + rng.uniform(2, 6)), end)
        spells.append(Spell(doing if until - start > SHORTEST_SECONDS else Doing.STILL, start, until))
        start = until
    return spells


def idle_lips(spell: Spell, syllable_rate: float, rng: np.random.Generator) -> Curve:
    """The lips of somebody who is not heard: points × 6."""
    seconds = spell.end - spell.start
    match spell.doing:
        case Doing.CHEWING:
            return chew(seconds, rng)
        case Doing.SMILING:
            return grin(seconds, rng)
        case Doing.STILL:
            return keep_still(seconds, rng)
        case _:
            return talk(seconds, syllable_rate, rng).lips


def cut(turns: tuple[Turn, ...], end: float) -> tuple[Turn, ...]:
    """The turns up to ``end`` seconds; the last one may be cut short."""
    return tuple(replace(turn, end=min(turn.end, end)) for turn in turns if turn.start < end)


def _on_grid(seconds: float) -> float:
    return round(seconds * GRID) / GRID
