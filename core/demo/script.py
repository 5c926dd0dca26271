"""The demo's script: who speaks when, and what every other mouth does meanwhile, one minute at a time from a seed.

Any minute can be written without those before it, so an endless demo needs no memory and any moment can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from speakerlight.core.demo.articulation import MOUTHED, Curve, chew, grin, keep_still, talk
from speakerlight.core.geometry import Box

MINUTE = 60.0
GRID = 25
"""Turns begin and end on a grid of this many points a second."""

TURN_SECONDS = (2.0, 5.0)
GAP_SECONDS = (0.3, 1.2)
SHORTEST_SECONDS = 1.0
INTRODUCTION_SECONDS = 20.0
"""Start of a minute in which every turn is of a person in view: as many of them as fit introduce themselves."""

OFFSCREEN_SHARE = 0.25
"""Share of the later turns that a stranger speaks off-screen. A whole minute has at least one of them."""


@dataclass(frozen=True)
class ScriptedTurn:
    """One person speaks from ``start`` to ``end`` seconds. ``tile``: who; None for the off-screen stranger."""

    tile: int | None
    start: float
    end: float


@dataclass(frozen=True)
class Truth:
    """Ground truth of a run: frame size in pixels, everybody's tile, and the turns in order."""

    size: tuple[int, int]
    tiles: tuple[Box, ...]
    turns: tuple[ScriptedTurn, ...]

    def as_json(self) -> dict[str, Any]:
        """``size``, ``tiles``, ``turns`` of people in view, and ``offscreen`` ones: numbers and lists only."""
        return {
            "size": list(self.size),
            "tiles": [[b.x, b.y, b.width, b.height] for b in self.tiles],
            "turns": [{"tile": t.tile, "start": t.start, "end": t.end} for t in self.turns if t.tile is not None],
            "offscreen": [{"start": t.start, "end": t.end} for t in self.turns if t.tile is None],
            "lag_ms": 0,
        }


class Activity(StrEnum):
    """What a person's mouth does."""

    SPEAKING = "speaking"
    MOUTHING = "mouthing"
    """Silent talk: syllables, pauses and a pace of its own, none of them in the audio."""
    CHEWING = "chewing"
    SMILING = "smiling"
    STILL = "still"


@dataclass(frozen=True)
class ActivitySpan:
    """One activity from ``start`` to ``end`` seconds; it begins and ends with the mouth at rest."""

    activity: Activity
    start: float
    end: float


IDLE_SHARES = {Activity.MOUTHING: 0.5, Activity.CHEWING: 0.12, Activity.SMILING: 0.13, Activity.STILL: 0.25}
"""Probabilities of the activities of a person who does not speak."""

MOUTHING_PACE = 0.55
"""Pace of silent talk relative to the person's own speech: slower than any speech in the audio."""


def turns_of_minute(minute: int, people: int, seed: int, stop: float) -> tuple[ScriptedTurn, ...]:
    """The turns that begin in a minute; all end within it, and by ``stop`` seconds."""
    rng = np.random.default_rng([seed, 3, minute])
    begin, end = minute * MINUTE, (minute + 1) * MINUTE
    turns: list[ScriptedTurn] = []
    now, last = begin + 0.5, -1
    while (length := min(rng.uniform(*TURN_SECONDS), end - now)) >= SHORTEST_SECONDS:
        waiting = set(range(people)) - {turn.tile for turn in turns}
        others = [i for i in sorted(waiting) or range(people) if i != last or people == 1]
        tile: int | None = int(rng.choice(others))
        if now - begin > INTRODUCTION_SECONDS and rng.random() < OFFSCREEN_SHARE:
            tile = None
        turns.append(ScriptedTurn(tile, _on_grid(now), _on_grid(now + length)))
        last, now = -1 if tile is None else tile, now + length + rng.uniform(*GAP_SECONDS)
    if all(turn.tile is not None for turn in turns):
        later = [k for k, turn in enumerate(turns) if turn.start - begin > INTRODUCTION_SECONDS]
        chosen = int(rng.choice(later))
        turns[chosen] = replace(turns[chosen], tile=None)
    return tuple(turn for turn in cut(tuple(turns), stop) if turn.end - turn.start >= SHORTEST_SECONDS)


def spans_of_minute(minute: int, person: int, turns: tuple[ScriptedTurn, ...], seed: int) -> tuple[ActivitySpan, ...]:
    """The activities of ``person`` all through a minute whose turns are given."""
    rng = np.random.default_rng([seed, 4, minute, person])
    spans: list[ActivitySpan] = []
    now, end = minute * MINUTE, (minute + 1) * MINUTE
    for turn in turns:
        if turn.tile == person:
            spans += [*_idle(now, turn.start, rng), ActivitySpan(Activity.SPEAKING, turn.start, turn.end)]
            now = turn.end
    return (*spans, *_idle(now, end, rng))


def _idle(start: float, end: float, rng: np.random.Generator) -> list[ActivitySpan]:
    """Spans of 2–6 s each that fill a gap."""
    spans: list[ActivitySpan] = []
    shares = list(IDLE_SHARES.values())
    while start < end:
        activity = list(IDLE_SHARES)[rng.choice(len(shares), p=shares)]
        until = min(_on_grid(start + rng.uniform(2, 6)), end)
        spans.append(ActivitySpan(activity if until - start > SHORTEST_SECONDS else Activity.STILL, start, until))
        start = until
    return spans


def idle_lips(span: ActivitySpan, syllable_rate: float, rng: np.random.Generator) -> Curve:
    """The lips of a person who does not speak: points × 6. ``syllable_rate``: of the person's speech."""
    seconds = span.end - span.start
    match span.activity:
        case Activity.CHEWING:
            return chew(seconds, rng)
        case Activity.SMILING:
            return grin(seconds, rng)
        case Activity.STILL:
            return keep_still(seconds, rng)
        case _:
            return talk(seconds, MOUTHING_PACE * syllable_rate, rng, MOUTHED).lips


def cut(turns: tuple[ScriptedTurn, ...], end: float) -> tuple[ScriptedTurn, ...]:
    """The turns up to ``end`` seconds; the last one may be cut short."""
    return tuple(replace(turn, end=min(turn.end, end)) for turn in turns if turn.start < end)


def _on_grid(seconds: float) -> float:
    return round(seconds * GRID) / GRID
