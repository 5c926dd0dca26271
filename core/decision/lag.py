"""Audio-video lag (A/V offset) estimation: one lag per room, refined per face, learnt while people speak; slips.

A room's camera and microphone have one lag. The tiles of a video call or of a split screen each come with a delay of
their own, so every face has a lag near the room's, learnt while it speaks.
"""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from speakerlight.core.snapshot import Lag
from speakerlight.core.timebase import TICK_RATE

logger = logging.getLogger(__name__)

MAX_LAG_TICKS = 15
"""Lags from −15 to +15 ticks (±600 ms) are compared, as SyncNet's authors do."""

LAGS = np.arange(-MAX_LAG_TICKS, MAX_LAG_TICKS + 1)

Floats = npt.NDArray[np.float64]

START_TICKS = 7.0
"""Standard deviation of the lag's prior before any speech: 280 ms, between two that were measured on eleven galleries:
with 320 ms instead of 180 ms, audio 280 ms off costs 0.007 and 0.009 of identity less, audio in sync 0.004 more."""

FLOOR = 0.02
"""Share of the prior that is uniform over all lags, so that a lag that slips is found again."""

START_COUNT = 12.0
"""Weight of this prior in ticks of speech."""

OWN_TICKS, ROOM_TICKS = 0.8, 1.5
"""Standard deviation of a face's lag around its own earlier lag, and around the lags of other faces."""

ROOM_SHARE = 0.73
"""Share of a face's prior that comes from the room."""

MEMORY_TICKS = 400.0
"""Time constant in ticks of speech: clocks drift, and streams stall."""

RECENT_TICKS, SLIP_WEIGHT = 25.0, 12.0
"""Time constant of recent speech, in ticks, and how much of it shows that the room's lag has slipped …"""

LEAST_SLIP_TICKS, SLIP_SHARE = 3, 0.6
"""… by at least this many ticks, where this share of it agrees within a tick …"""

KNOWN_WEIGHT = 25.0
"""… at faces whose own lag is known from this many ticks. A new face may have a lag of its own."""

SLIP_RATE = 0.005
"""Rate a tick at which a speaker's lag becomes any other, so that a slip in the middle of a turn is found in that turn.
Chosen on galleries with a slip of 320 ms (0: one of the two costs 0.031 of identity, 0.01: 0.017); without a slip 0.01
costs 0.002, 0.03 costs 0.012."""

NO_OFFSET = 2 * MAX_LAG_TICKS
"""Index of no difference among those between two lags."""

_FIXED_TICKS = 0.7
"""Standard deviation around a lag that was set by hand."""


class RoomLag:
    """Estimates the lag of the room and of each face; ``fixed_ticks`` sets it by hand (in ticks, relative to LAGS)."""

    def __init__(self, fixed_ticks: float | None = None) -> None:
        apart = LAGS[:, None] - LAGS
        self._own = _normalised(np.exp(-0.5 * (apart / OWN_TICKS) ** 2), axis=0)
        self._others = _normalised(np.exp(-0.5 * (apart / ROOM_TICKS) ** 2), axis=0)
        self.set(fixed_ticks)

    def set(self, fixed_ticks: float | None) -> None:
        """Set the lag by hand from now on, or estimate it, beginning anew (None)."""
        self._fixed = fixed_ticks
        if fixed_ticks is None:
            start = _normalised(np.exp(-0.5 * (LAGS / START_TICKS) ** 2))
            self._start = (1 - FLOOR) * start + FLOOR / len(LAGS)
        else:
            near = LAGS - np.clip(fixed_ticks, LAGS[0], LAGS[-1])
            self._start = _normalised(np.exp(-0.5 * (near / _FIXED_TICKS) ** 2) + 1e-9)
        self._room = self._start
        self._likeliest = int(np.argmax(self._room))
        self._offsets = np.zeros(2 * NO_OFFSET + 1)

    def prior(self, counts: Floats) -> Floats:
        """The prior over lags of each of F faces [F, 31] from the ticks explained by each, [F, 31]."""
        common = START_COUNT * (ROOM_SHARE * self._room + (1 - ROOM_SHARE) * self._start)
        if self._fixed is not None:
            common, counts = START_COUNT * self._start, np.zeros_like(counts)
        return _normalised(common + counts @ self._own.T, axis=1)

    def learnt(self, counts: Floats, explained: Floats, speech: float, steps: int) -> Floats:
        """``counts`` with what a tick's posterior ``explained`` [F, 31] adds; the room lag follows."""
        slipped = self._slipped(counts, explained, speech, steps) if len(counts) and self._fixed is None else 0
        counts = counts * (1 - 1 / MEMORY_TICKS) ** (speech * steps) + steps * explained
        if slipped:
            logger.info("the lag of all faces slipped by %+d ms", slipped * 1000 // TICK_RATE)
            counts = _shifted(counts, slipped)
        if self._fixed is None:
            self._room = _normalised(START_COUNT * self._start + self._others @ counts.sum(axis=0))
            self._likeliest = int(np.argmax(self._room))
        return counts

    def _slipped(self, counts: Floats, explained: Floats, speech: float, steps: int) -> int:
        """By how many ticks the lags of all faces have slipped, 0 as a rule: recent speech fits at lags that are all
        equally far from those known of its faces."""
        self._offsets *= (1 - 1 / RECENT_TICKS) ** (speech * steps)
        face = int(np.argmax(explained.sum(axis=1)))
        if counts[face].sum() >= KNOWN_WEIGHT:
            first = NO_OFFSET - int(np.argmax(self._own @ counts[face]))
            self._offsets[first : first + len(LAGS)] += steps * explained[face]
        agreeing = np.convolve(self._offsets, np.ones(3), "same")
        # Three neighbours agree equally with a sharp peak: the peak itself counts a little more.
        offset = int(np.argmax(agreeing + 0.1 * self._offsets))
        enough = max(SLIP_WEIGHT, SLIP_SHARE * float(self._offsets.sum()))
        if abs(offset - NO_OFFSET) < LEAST_SLIP_TICKS or agreeing[offset] < enough:
            return 0
        self._offsets[:] = 0
        return offset - NO_OFFSET

    @property
    def slip_rate(self) -> float:
        """Rate a tick at which the lag of a speaker becomes any other; a lag that was set by hand stays."""
        return SLIP_RATE if self._fixed is None else 0.0

    @property
    def ticks(self) -> int:
        """The room's most probable lag in whole ticks."""
        return self._likeliest - MAX_LAG_TICKS

    def value(self) -> Lag:
        """The room lag, between ticks by the weights of its neighbours; confidence: the probability within ±2 ticks."""
        if self._fixed is not None:
            return Lag(self._fixed * 1000 / TICK_RATE, 1.0)
        k = self._likeliest
        near = slice(max(0, k - 1), k + 2)
        lag = float((LAGS[near] * self._room[near]).sum() / self._room[near].sum())
        return Lag(lag * 1000 / TICK_RATE, float(self._room[max(0, k - 2) : k + 3].sum()))


def _shifted(counts: Floats, ticks: int) -> Floats:
    """``counts`` [F, 31] moved by ``ticks``; what falls off the range of lags is dropped."""
    moved = np.zeros_like(counts)
    if ticks > 0:
        moved[:, ticks:] = counts[:, :-ticks]
    else:
        moved[:, :ticks] = counts[:, -ticks:]
    return moved


def _normalised(weights: Floats, axis: int | None = None) -> Floats:
    return np.asarray(weights / weights.sum(axis=axis, keepdims=axis is not None))
