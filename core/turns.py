"""Turns: who is speaking, as a small state machine over each face's probability and the voice activity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.settings import TurnSettings
from core.snapshot import State


@dataclass(frozen=True)
class Turn:
    """Who speaks now. ``speaking``: ids of everybody who does; ``primary``: the one to show, one of them."""

    state: State
    primary: int | None
    speaking: frozenset[int]


_SILENCE = Turn(State.SILENCE, None, frozenset())


class Turns:
    """Voice-activity gate; different thresholds for on and off; a challenger must beat the primary for some time."""

    def __init__(self, settings: TurnSettings) -> None:
        self._settings = settings
        self._now = _SILENCE
        self._heard_at = float("-inf")
        self._is_heard = False
        self._claim: int | None = None
        self._claimed_since = 0.0
        self._belief, self._believed_at = settings.first_belief, 0.0

    def update(self, time: float, speech: float, probabilities: Mapping[int, float]) -> Turn:
        """Advance to ``time`` (seconds) with the speech probability and each face's probability of speaking."""
        if not self._gate(time, speech):
            self._now, self._claim = _SILENCE, None
            self._belief, self._believed_at = self._settings.first_belief, time
            return self._now
        s = self._settings
        before = self._now
        if self._is_offscreen(time, max(probabilities.values(), default=0.0)):
            self._now, self._claim = Turn(State.OFFSCREEN, None, frozenset()), None
            return self._now
        likely = {i for i, p in probabilities.items() if p >= (s.off if i == before.primary else s.on)}
        primary = self._primary(time, probabilities, likely)
        if primary is not None:
            also = {i for i, p in probabilities.items() if p >= (s.also_off if i in before.speaking else s.also_on)}
            self._now = Turn(State.SPEAKING, primary, frozenset(also | {primary}))
        else:
            # It is not known yet who it is, nor that it is nobody in view.
            self._now = _SILENCE
        return self._now

    def _is_offscreen(self, time: float, best: float) -> bool:
        """Whether the likeliest face has been too unlikely for too long to be the one that is heard."""
        s = self._settings
        self._belief += (best - self._belief) * min(1.0, (time - self._believed_at) / s.belief_seconds)
        self._believed_at = time
        return self._belief < (s.onscreen_from if self._now.state is State.OFFSCREEN else s.offscreen_below)

    def _gate(self, time: float, speech: float) -> bool:
        """Whether there is speech, with a threshold to begin, a lower one to go on, and a short hold over pauses."""
        s = self._settings
        if speech >= (s.speech_off if self._is_heard else s.speech_on):
            self._heard_at = time
        self._is_heard = time - self._heard_at <= s.hold_seconds
        return self._is_heard

    def _primary(self, time: float, probabilities: Mapping[int, float], likely: set[int]) -> int | None:
        """The primary speaker from now on: who it is now, until another (or nobody) has claimed it long enough."""
        s = self._settings
        primary = self._now.primary
        best = max(likely, key=lambda i: probabilities[i], default=None)
        if primary is None:
            return best if best is not None and self._lasts(time, best, s.begin_seconds) else None
        own = probabilities.get(primary, 0.0)
        if best is not None and best != primary and _odds(probabilities[best]) >= s.challenger_odds * _odds(own):
            return best if self._lasts(time, best, s.switch_seconds) else primary
        if primary in likely:
            self._claim = primary
            return primary
        return None if self._lasts(time, None, s.switch_seconds) else primary

    def _lasts(self, time: float, claim: int | None, seconds: float) -> bool:
        """Whether ``claim`` (a face, or None for nobody) has been made without a break for ``seconds``."""
        if self._claim != claim:
            self._claim, self._claimed_since = claim, time
        return time - self._claimed_since >= seconds - 1e-6


def _odds(probability: float) -> float:
    return probability / max(1.0 - probability, 1e-9)
