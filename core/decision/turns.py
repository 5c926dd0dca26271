"""Turns: who is speaking, as a small state machine over the voice activity and the belief in each face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from speakerlight.core.decision.belief import Belief
from speakerlight.core.decision.settings import BeliefSettings, TurnSettings
from speakerlight.core.snapshot import SpeakingState
from speakerlight.core.timebase import TICK_RATE


@dataclass(frozen=True)
class Turn:
    """Who speaks now. ``speaking``: ids of everybody who does; ``primary``: the one to show, one of them.

    ``likely``: of every face in view, the probability in [0, 1] that it speaks.
    """

    state: SpeakingState
    primary: int | None
    speaking: frozenset[int]
    likely: Mapping[int, float]


class Turns:
    """Voice-activity gate; different thresholds for on and off; who would take over must be believed more."""

    def __init__(self, settings: TurnSettings, belief: BeliefSettings) -> None:
        self._settings = settings
        self._belief = Belief(belief)
        self._now = Turn(SpeakingState.SILENCE, None, frozenset(), {})
        self._time = -1 / TICK_RATE
        self._heard_at = float("-inf")
        self._is_heard = False

    def update(self, time: float, speech: float, evidence: Mapping[int, float]) -> Turn:
        """Advance to ``time`` (seconds) with the speech probability and, of each face, the log-odds a second."""
        s = self._settings
        seconds, self._time = min(time - self._time, s.longest_step_seconds), time
        if not self._gate(time, speech):
            self._belief.reset()
            self._now = Turn(SpeakingState.SILENCE, None, frozenset(), dict.fromkeys(evidence, 0.0))
            return self._now
        # In a pause that is held over nothing is heard that could speak for or against a face.
        heard = np.fromiter(evidence.values(), float) * (speech >= s.speech_off)
        likely = self._belief.update(seconds, list(evidence), heard)
        primary = self._primary(likely)
        self._now = Turn(self._state(primary), primary, self._speaking(primary, likely), likely)
        return self._now

    def _gate(self, time: float, speech: float) -> bool:
        """Whether there is speech, with a threshold to begin, a lower one to go on, and a short hold over pauses."""
        s = self._settings
        if speech >= (s.speech_off if self._is_heard else s.speech_on):
            self._heard_at = time
        self._is_heard = time - self._heard_at <= s.hold_seconds
        return self._is_heard

    def _primary(self, likely: Mapping[int, float]) -> int | None:
        """Who is the likeliest to speak; of two who both do, the one who did before."""
        s, now = self._settings, self._now.primary
        own = likely.get(now, 0.0) if now is not None else 0.0
        best = max(likely, key=likely.__getitem__, default=None)
        if best is not None and likely[best] >= s.on:
            takes_over = own < s.also_off and _odds(likely[best]) > s.challenger_odds * _odds(own)
            return best if takes_over else now
        return now if own >= s.off else None

    def _state(self, primary: int | None) -> SpeakingState:
        if primary is not None:
            return SpeakingState.SPEAKING
        if self._now.state is SpeakingState.OFFSCREEN or self._belief.nobody >= self._settings.offscreen_from:
            return SpeakingState.OFFSCREEN
        return SpeakingState.UNDECIDED

    def _speaking(self, primary: int | None, likely: Mapping[int, float]) -> frozenset[int]:
        """The primary speaker, and who is believed to speak beside it."""
        s, before = self._settings, self._now.speaking
        if primary is None:
            return frozenset()
        return frozenset(
            i for i, p in likely.items() if i == primary or p >= (s.also_off if i in before else s.also_on)
        )


def _odds(probability: float) -> float:
    return probability / max(1.0 - probability, 1e-9)
