"""The demo's people: looks, voices and head movements, all drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from speakerlight.core.demo.voice import Voice, cast_voices

Colour = tuple[float, float, float]
"""Blue, green, red in [0, 255]."""


class Hair(StrEnum):
    """Hair style."""

    SHORT = "short"
    LONG = "long"
    CURLY = "curly"
    BUN = "bun"
    BOB = "bob"
    SHAVED = "shaved"


class Room(StrEnum):
    """Background of a tile."""

    WINDOW = "window"
    SHELVES = "shelves"
    PLANT = "plant"
    POSTER = "poster"


@dataclass(frozen=True)
class Look:
    """A face and what surrounds it. Lengths are in face heights (hairline to chin)."""

    skin: Colour
    hair: Colour
    lips: Colour
    iris: Colour
    shirt: Colour
    wall: Colour
    style: Hair
    room: Room
    glasses: bool
    beard: bool
    half_width: float
    jaw_taper: float
    eye_gap: float
    eye_size: float
    brow_weight: float
    nose_width: float
    mouth_width: float
    lip_fullness: float


class Pose(NamedTuple):
    """Head pose: shift in face heights, roll in radians, size about 1; ``lids`` and ``brows`` in [0, 1]."""

    x: float
    y: float
    roll: float
    size: float
    lids: float
    """0 open, 1 shut."""
    brows: float


@dataclass(frozen=True, eq=False)
class Habits:
    """Head movement: slow swings (amplitude, Hz, phase: 5 × 3 each) and the times of blinks in a minute."""

    swings: npt.NDArray[np.float64]
    blinks: npt.NDArray[np.float64]

    def pose(self, time: float) -> Pose:
        """The pose at ``time`` seconds; depends on nothing else."""
        amplitude, hertz, phase = self.swings
        x, y, roll, size, brows = (amplitude * np.sin(2 * np.pi * hertz * time + phase)).sum(axis=1)
        since = np.abs(self.blinks - time % 60.0).min()
        lids = max(0.0, 1.0 - since / BLINK_HALF_SECONDS)
        return Pose(float(x), float(y), float(roll), 1 + float(size), lids, min(max(0.5 + float(brows), 0.0), 1.0))


BLINK_HALF_SECONDS = 0.11

BEARDED_PITCH_HZ = 135.0
"""Only people with a lower voice may have a beard."""


@dataclass(frozen=True, eq=False)
class Person:
    """One person of the demo."""

    look: Look
    voice: Voice
    habits: Habits


SKINS: tuple[Colour, ...] = (
    (178, 201, 238),
    (105, 148, 205),
    (150, 182, 228),
    (62, 94, 150),
    (128, 170, 218),
    (88, 125, 186),
    (168, 192, 232),
)
HAIRS: tuple[Colour, ...] = (
    (38, 46, 66),
    (28, 26, 30),
    (70, 118, 168),
    (40, 62, 104),
    (48, 78, 150),
    (110, 172, 214),
    (150, 154, 158),
)
SHIRTS: tuple[Colour, ...] = (
    (150, 104, 58),
    (82, 92, 196),
    (128, 142, 74),
    (92, 164, 218),
    (120, 80, 120),
    (196, 190, 182),
    (84, 74, 68),
)
WALLS: tuple[Colour, ...] = (
    (206, 210, 206),
    (186, 202, 220),
    (214, 204, 190),
    (178, 192, 182),
    (204, 192, 204),
    (172, 180, 192),
)
IRISES: tuple[Colour, ...] = ((52, 74, 98), (128, 108, 70), (66, 96, 84), (34, 48, 66))


def cast(seed: int, count: int) -> tuple[Person, ...]:
    """``count`` people of ``seed``, as different from each other as the palettes allow."""
    rng = np.random.default_rng([seed, 1])
    order = [rng.permutation(n) for n in (len(SKINS), len(HAIRS), len(SHIRTS), len(WALLS), len(Hair), len(Room))]
    voices = cast_voices(count, rng)
    return tuple(_person([int(o[i % len(o)]) for o in order], voices[i], rng) for i in range(count))


def _person(picks: list[int], voice: Voice, rng: np.random.Generator) -> Person:
    return Person(_look(picks, voice, rng), voice, _habits(rng))


def _look(picks: list[int], voice: Voice, rng: np.random.Generator) -> Look:
    skin_pick, hair_pick, shirt_pick, wall_pick, style_pick, room_pick = picks
    skin = _varied(SKINS[skin_pick], 6, rng)
    dark = sum(skin) < 400
    hair = HAIRS[hair_pick if not dark else hair_pick % 2]
    blue, green, red = skin
    style = list(Hair)[style_pick]
    has_short_hair = style in (Hair.SHORT, Hair.SHAVED, Hair.CURLY)
    return Look(
        skin=skin,
        hair=_varied(hair, 8, rng),
        lips=_varied((blue * 0.62, green * 0.56, min(red * 0.92, 205)), 8, rng),
        iris=IRISES[rng.integers(len(IRISES)) if not dark else 3],
        shirt=_varied(SHIRTS[shirt_pick], 10, rng),
        wall=_varied(WALLS[wall_pick], 6, rng),
        style=style,
        room=list(Room)[room_pick],
        glasses=bool(rng.random() < 0.25),
        beard=bool(voice.pitch_hz < BEARDED_PITCH_HZ and has_short_hair and rng.random() < 0.6),
        half_width=rng.uniform(0.365, 0.41),
        jaw_taper=rng.uniform(0.1, 0.26),
        eye_gap=rng.uniform(0.155, 0.178),
        eye_size=rng.uniform(0.92, 1.12),
        brow_weight=rng.uniform(0.8, 1.35),
        nose_width=rng.uniform(0.055, 0.075),
        mouth_width=rng.uniform(0.125, 0.15),
        lip_fullness=rng.uniform(0.8, 1.25),
    )


def _varied(colour: Colour, spread: float, rng: np.random.Generator) -> Colour:
    blue, green, red = np.clip(np.array(colour) + rng.uniform(-spread, spread) + rng.uniform(-4, 4, 3), 10, 250)
    return float(blue), float(green), float(red)


def _habits(rng: np.random.Generator) -> Habits:
    most = np.array([0.022, 0.014, 0.03, 0.016, 0.3])[:, None]
    amplitude = most * rng.uniform(0.3, 1.0, (5, 3)) * (1.0, 0.7, 0.35)
    hertz = rng.uniform(0.7, 1.3, (5, 3)) * (0.11, 0.23, 0.55)
    phase = rng.uniform(0, 2 * np.pi, (5, 3))
    blinks = np.cumsum(rng.uniform(2.0, 5.5, 29))
    return Habits(np.stack([amplitude, hertz, phase]), blinks[blinks < 59.5])
