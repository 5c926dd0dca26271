"""Articulation: curves of lips and voice over time, for random syllables of a made-up language.

The same curves move the drawn lips and the synthesized voice, so the two are in exact sync. It models no language:
syllables are drawn at random from an inventory of common vowels and consonants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Curve = npt.NDArray[np.float32]

Float = TypeVar("Float", np.float32, np.float64)

CONTROL_RATE = 200
"""Points per second of every curve."""


class Lips(NamedTuple):
    """Pose of a mouth. All in [0, 1]; 0 is a closed, relaxed mouth."""

    opening: float = 0.0
    spread: float = 0.0
    rounding: float = 0.0
    tuck: float = 0.0
    """Lower lip against the upper teeth, as in f and v."""
    press: float = 0.0
    """Lips shut firmly, as in m, b and p."""
    smile: float = 0.0


REST = Lips()


@dataclass(frozen=True, eq=False)
class Speech:
    """Curves of one piece of talk, ``CONTROL_RATE`` points a second, all of the same length.

    ``lips``: points × 6, the fields of ``Lips``. ``voicing``, ``frication``, ``aspiration``: amplitudes in [0, 1].
    ``pitch``: multiple of the speaker's mean pitch (about 0.7–1.4). ``formants``: points × 3, Hz, of an average adult.
    ``frication_hz``: centre of the friction noise. ``nasal``: 1 while the mouth is shut and the nose open.
    """

    lips: Curve
    voicing: Curve
    frication: Curve
    aspiration: Curve
    pitch: Curve
    formants: Curve
    frication_hz: Curve
    nasal: Curve


class Phone(NamedTuple):
    """Targets of one phone. Formants in Hz, as measured by Peterson and Barney (1952), averaged over voices."""

    formants: tuple[float, float, float]
    lips: Lips
    seconds: float = 0.09
    voicing: float = 1.0
    frication: float = 0.0
    frication_hz: float = 4000.0
    nasal: float = 0.0
    burst: float = 0.0
    """Noise burst at the release of a stop."""
    breath: float = 0.0
    """Aspiration after the release."""


VOWELS = (
    Phone((780, 1220, 2550), Lips(1.0, 0.15, 0.0)),  # father
    Phone((720, 1820, 2520), Lips(0.85, 0.55, 0.0)),  # hat
    Phone((570, 1970, 2600), Lips(0.55, 0.55, 0.0)),  # bed
    Phone((430, 2150, 2750), Lips(0.35, 0.75, 0.0)),  # late
    Phone((300, 2450, 3100), Lips(0.22, 1.0, 0.0)),  # see
    Phone((620, 1300, 2500), Lips(0.6, 0.1, 0.1)),  # but
    Phone((580, 900, 2550), Lips(0.75, 0.0, 0.65)),  # law
    Phone((450, 950, 2450), Lips(0.45, 0.0, 0.9)),  # go
    Phone((330, 950, 2350), Lips(0.24, 0.0, 1.0)),  # too
)

SHUT = Lips(0.0, 0.1, 0.1, 0.0, 1.0)

CONSONANTS = (
    Phone((280, 1000, 2300), SHUT, 0.085, voicing=0.5, nasal=1.0),  # m
    Phone((250, 900, 2300), SHUT, 0.085, voicing=0.12, burst=0.5, frication_hz=1200),  # b
    Phone((300, 900, 2300), SHUT, 0.095, voicing=0.0, burst=0.8, breath=0.5, frication_hz=1200),  # p
    Phone((350, 1100, 2400), Lips(0.06, 0.3, 0.0, 1.0), 0.1, voicing=0.0, frication=0.25, frication_hz=5500),  # f
    Phone((300, 1100, 2400), Lips(0.06, 0.3, 0.0, 1.0), 0.07, voicing=0.45, frication=0.12, frication_hz=5500),  # v
    Phone((320, 1700, 2600), Lips(0.1, 0.7, 0.0), 0.11, voicing=0.0, frication=0.6, frication_hz=6300),  # s
    Phone((300, 1700, 2600), Lips(0.1, 0.6, 0.0), 0.08, voicing=0.4, frication=0.3, frication_hz=6000),  # z
    Phone((320, 1800, 2500), Lips(0.16, 0.0, 0.75), 0.11, voicing=0.0, frication=0.6, frication_hz=3300),  # sh
    Phone((280, 1750, 2650), Lips(0.2, 0.4, 0.0), 0.07, voicing=0.1, burst=0.6, frication_hz=4500),  # d
    Phone((300, 1750, 2650), Lips(0.18, 0.4, 0.0), 0.08, voicing=0.0, burst=0.9, breath=0.4, frication_hz=4500),  # t
    Phone((300, 1950, 2400), Lips(0.3, 0.2, 0.0), 0.08, voicing=0.0, burst=0.8, breath=0.5, frication_hz=2300),  # k
    Phone((280, 1600, 2600), Lips(0.2, 0.3, 0.0), 0.07, voicing=0.5, nasal=1.0),  # n
    Phone((380, 1200, 2800), Lips(0.35, 0.3, 0.0), 0.07, voicing=0.65),  # l
    Phone((330, 800, 2300), Lips(0.1, 0.0, 1.0), 0.08, voicing=0.6),  # w
    Phone((290, 2250, 3000), Lips(0.2, 0.8, 0.0), 0.06, voicing=0.6),  # y
)

PAUSE = Phone((550, 1500, 2500), REST, 0.2, voicing=0.0)


class TimedPhone(NamedTuple):
    """A phone from ``start`` to ``end`` seconds. ``stress``: about 1."""

    phone: Phone
    start: float
    end: float
    stress: float


class Phrasing(NamedTuple):
    """How talk is divided by pauses, both as ranges: syllables of a phrase (end exclusive), seconds of a pause."""

    syllables: tuple[int, int]
    pause_seconds: tuple[float, float]


SPOKEN = Phrasing((5, 13), (0.12, 0.3))
"""Phrases of fluent speech."""

MOUTHED = Phrasing((2, 5), (0.5, 1.1))
"""Phrases of a person who talks without a voice: to somebody in the room, with the microphone muted."""

LEAD_SECONDS = 0.08
"""A mouth begins to open before the first phone, and closes after the last one."""


def talk(seconds: float, syllable_rate: float, rng: np.random.Generator, phrasing: Phrasing = SPOKEN) -> Speech:
    """``seconds`` of talk at ``syllable_rate`` syllables a second; it begins and ends with the mouth at rest."""
    return _curves(_sentence(seconds, syllable_rate, rng, phrasing), seconds, rng)


def _sentence(seconds: float, syllable_rate: float, rng: np.random.Generator, phrasing: Phrasing) -> list[TimedPhone]:
    """Phrases with pauses between them, paced so that the last one fills the time."""
    phones: list[TimedPhone] = []
    now, stop, left = LEAD_SECONDS, seconds - LEAD_SECONDS, int(rng.integers(*phrasing.syllables))
    while now + 0.8 / syllable_rate < stop:
        if left == 0 and now + phrasing.pause_seconds[1] + 0.7 < stop:
            now, left = now + rng.uniform(*phrasing.pause_seconds), int(rng.integers(*phrasing.syllables))
            continue
        for phone, length, stress in _syllable(syllable_rate, rng, last=left == 1):
            phones.append(TimedPhone(phone, now, min(now + length, stop), stress))
            now = min(now + length, stop)
        left = max(left - 1, 0)
    pace = (stop - LEAD_SECONDS) / (now - LEAD_SECONDS) if phones else 1.0

    def paced(time: float) -> float:
        return LEAD_SECONDS + (time - LEAD_SECONDS) * pace

    return [TimedPhone(phone, paced(start), paced(end), stress) for phone, start, end, stress in phones]


def _syllable(rate: float, rng: np.random.Generator, last: bool) -> list[tuple[Phone, float, float]]:
    """Consonant, vowel and sometimes a closing consonant: (phone, seconds, stress)."""
    whole, stress = rng.uniform(0.75, 1.25) / rate, rng.choice((0.75, 1.0, 1.3))
    parts = []
    if rng.random() < 0.9:
        onset = CONSONANTS[rng.integers(len(CONSONANTS))]
        parts.append((onset, onset.seconds * rng.uniform(0.85, 1.15), stress))
    coda = CONSONANTS[rng.integers(len(CONSONANTS))] if rng.random() < 0.25 else None
    used = sum(length for _, length, _ in parts) + (coda.seconds if coda else 0.0)
    vowel = VOWELS[rng.integers(len(VOWELS))]
    parts.append((vowel, max(whole - used, 0.07) * (1.4 if last else 1.0) * stress**0.5, stress))
    if coda:
        parts.append((coda, coda.seconds, stress))
    return parts


def _curves(phones: list[TimedPhone], seconds: float, rng: np.random.Generator) -> Speech:
    """Hold targets over each phone, then smooth them as tongue, jaw and lips do."""
    count = round(seconds * CONTROL_RATE)
    lips = np.tile(np.array(REST, np.float32), (count, 1))
    lips[:] = PAUSE.lips
    formants = np.tile(np.array(PAUSE.formants, np.float32), (count, 1))
    voicing, frication, aspiration, nasal = np.zeros((4, count), np.float32)
    frication_hz = np.full(count, 4000, np.float32)
    pitch, shut, grip = np.ones(count, np.float32), np.zeros(count, np.float32), np.zeros((count, 2), np.float32)
    for phone, start, end, stress in phones:
        first, after = round(start * CONTROL_RATE), round(end * CONTROL_RATE)
        lips[first:after] = phone.lips
        lips[first:after, 0] *= 0.75 + 0.25 * stress
        formants[first:after] = phone.formants
        voicing[first:after] = phone.voicing * (0.6 + 0.4 * stress)
        frication[first:after] = phone.frication
        frication_hz[first : after + 8] = phone.frication_hz
        nasal[first:after] = phone.nasal
        pitch[first:after] = 0.9 + 0.12 * stress
        frication[after : after + 3] = np.maximum(frication[after : after + 3], phone.burst)
        aspiration[after : after + 8] = phone.breath
        constriction = max(phone.lips.press, phone.lips.tuck)
        if constriction:
            bump = _bump(count, (first + after) / 2, (after - first) / 2)
            shut = np.maximum(shut, constriction * bump)
            grip = np.maximum(grip, bump[:, None] * (phone.lips.tuck, phone.lips.press))
    lips = smoothed(lips, 0.03 * CONTROL_RATE, beyond="edge")
    lips[:, 0] *= 1 - shut
    lips[:, 3:5] = grip
    wander = smoothed(rng.normal(0, 1, count), 0.25 * CONTROL_RATE, beyond="wrap")
    fall = np.linspace(1.1, 0.88, count)
    return Speech(
        lips=np.clip(lips, 0, 1).astype(np.float32),
        voicing=smoothed(voicing, 0.012 * CONTROL_RATE),
        frication=smoothed(frication, 0.006 * CONTROL_RATE),
        aspiration=smoothed(aspiration, 0.008 * CONTROL_RATE),
        pitch=(smoothed(pitch, 0.05 * CONTROL_RATE) * fall * (1 + 0.6 * wander)).astype(np.float32),
        formants=smoothed(formants, 0.018 * CONTROL_RATE, beyond="edge"),
        frication_hz=frication_hz,
        nasal=smoothed(nasal, 0.008 * CONTROL_RATE),
    )


def smoothed(
    curve: npt.NDArray[Float], points: float, beyond: Literal["symmetric", "edge", "wrap"] = "symmetric"
) -> npt.NDArray[Float]:
    """Smooth ``curve`` (points, or points × columns) by a Gaussian of ``points`` standard deviation, truncated at four.

    ``beyond``: how the curve is padded. Equal to ``scipy.ndimage.gaussian_filter1d``, whose import would take longer
    than anything else before the model loads.
    """
    reach = int(4 * points + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / points) ** 2)
    margins = [(reach, reach), *((0, 0) for _ in curve.shape[1:])]
    windows = sliding_window_view(np.pad(curve, margins, mode=beyond), len(kernel), axis=0)
    return np.asarray(windows @ (kernel / kernel.sum()), curve.dtype)


def _bump(count: int, centre: float, half: float) -> Curve:
    """1 within ``half`` points of ``centre``, falling to 0 in 45 ms, the time that lips take to close or part."""
    away = np.abs(np.arange(count, dtype=np.float32) - centre) - half * 0.7
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(away / (0.045 * CONTROL_RATE), 0, 1)), np.float32)


def lips_at(curve: Curve, time: float) -> Lips:
    """Interpolated pose of the lips ``time`` seconds into a curve of points × 6."""
    point = min(max(time * CONTROL_RATE, 0.0), len(curve) - 1.0)
    before = min(int(point), len(curve) - 2)
    row = curve[before] + (curve[before + 1] - curve[before]) * (point - before)
    return Lips(*row.tolist())


def chew(seconds: float, rng: np.random.Generator) -> Curve:
    """Lips of a person who eats: a slow beat of the jaw, the mouth mostly shut. Points × 6."""
    lips = _idle(seconds)
    time = np.arange(len(lips)) / CONTROL_RATE
    beat = np.sin(2 * np.pi * rng.uniform(1.0, 1.6) * time + 0.8 * np.sin(2 * np.pi * 0.3 * time)) ** 2
    lips[:, 0] = 0.3 * beat * rng.uniform(0.5, 1.0)
    lips[:, 2] = 0.3 * np.roll(beat, CONTROL_RATE // 6)
    return lips * _fade(len(lips))


def grin(seconds: float, rng: np.random.Generator) -> Curve:
    """Lips of a person who smiles, then stops. Points × 6."""
    lips = _idle(seconds)
    strength = rng.uniform(0.6, 1.0)
    lips[:, 5], lips[:, 0], lips[:, 1] = strength, 0.18 * (strength > 0.8), 0.6 * strength
    return lips * _fade(len(lips))


def keep_still(seconds: float, rng: np.random.Generator) -> Curve:
    """Lips that hardly move: a slight, slow drift. Points × 6."""
    lips = _idle(seconds)
    lips[:, 5] = 0.25 * np.sin(np.pi * np.arange(len(lips)) / len(lips)) ** 2 * rng.random()
    return lips


def _idle(seconds: float) -> Curve:
    return np.zeros((round(seconds * CONTROL_RATE), len(Lips._fields)), np.float32)


def _fade(count: int) -> Curve:
    """0 at both ends, 1 from 0.35 s inwards: points × 1."""
    edge = np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.35 * CONTROL_RATE)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(edge, 0, 1)), np.float32)[:, None]
