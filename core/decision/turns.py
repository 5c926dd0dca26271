"""Turns: decides from the posterior whether a tick is silence, undecided, off-screen or a face's, without flicker.

It also marks a second speaker beside the primary one. A ``Turn`` is the decision of one tick; a person's speaking
turns, with start and end, are the segments of ``core/segments.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from speakerlight.core.decision.chain import Posterior
from speakerlight.core.decision.settings import Settings
from speakerlight.core.snapshot import SpeakingState


@dataclass(frozen=True)
class Turn:
    """Who speaks now. ``primary``: the most probable speaker. ``speaking``: ids of all marked faces, the primary
    among them; empty while the primary speaker is only the best guess.

    ``scores``: the probability in [0, 1] that each face in view speaks.
    """

    state: SpeakingState
    primary: int | None
    speaking: frozenset[int]
    scores: Mapping[int, float]


class Turns:
    """Voice activity gate, then thresholds of the posterior; a name stays for a minimum time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._now = Turn(SpeakingState.SILENCE, None, frozenset(), {})
        self._speech_at = float("-inf")
        self._named_at = float("-inf")
        self._unmatched_since = float("inf")
        self._is_open = False

    def update(self, time: float, speech: float, posterior: Posterior) -> Turn:
        """Advance to ``time`` (seconds) with the speech probability and the posterior of that tick."""
        if not self._gate(time, speech):
            self._unmatched_since = float("inf")
            scores = dict.fromkeys(posterior.faces, 0.0)
            self._now = Turn(SpeakingState.SILENCE, None, frozenset(), scores)
            return self._now
        primary = self._primary(time, posterior)
        if primary != self._now.primary:
            self._named_at = time
        state = self._state(time, primary, posterior)
        self._now = Turn(state, primary, self._speaking(primary, posterior), posterior.faces)
        return self._now

    def merge(self, face: int, into: int) -> None:
        """Replace an id after a merge."""
        now = self._now
        primary = into if now.primary == face else now.primary
        speaking = frozenset(into if i == face else i for i in now.speaking)
        self._now = Turn(now.state, primary, speaking, now.scores)

    def _gate(self, time: float, speech: float) -> bool:
        """Whether there is speech: one threshold to begin, a lower one to go on, and a short hold over pauses."""
        s = self._settings
        if speech >= (s.speech_off if self._is_open else s.speech_on):
            self._speech_at = time
        self._is_open = time - self._speech_at <= s.hold_seconds
        return self._is_open

    def _primary(self, time: float, posterior: Posterior) -> int | None:
        s, now, faces = self._settings, self._now.primary, posterior.faces
        own = faces.get(now, 0.0) if now is not None else 0.0
        best = max(faces, key=faces.__getitem__, default=None)
        is_lost = own < s.lost_below or posterior.nobody >= s.lost_odds * own
        kept = None if is_lost else now
        if best is None or best == now or faces[best] < s.named_from or faces[best] <= s.takeover_odds * own:
            return kept
        if kept is not None and self._pair(posterior, kept, best) >= s.second_below:
            return kept
        is_fresh = kept is not None and time - self._named_at < s.min_dwell_seconds
        return kept if is_fresh and faces[best] < s.certain_from else best

    def _state(self, time: float, primary: int | None, posterior: Posterior) -> SpeakingState:
        s = self._settings
        if posterior.nobody < s.offscreen_from:
            self._unmatched_since = float("inf")
        else:
            self._unmatched_since = min(self._unmatched_since, time)
        if primary is not None:
            return SpeakingState.SPEAKING
        is_away = self._now.state is SpeakingState.OFFSCREEN
        if is_away:
            enough = posterior.nobody >= s.offscreen_below
        else:
            enough = posterior.nobody >= s.offscreen_from and self._is_alone(time, posterior)
        return SpeakingState.OFFSCREEN if enough else SpeakingState.UNDECIDED

    def _is_alone(self, time: float, posterior: Posterior) -> bool:
        """Whether the voice has been nobody's in view for long enough; longer while no face is compared with it yet."""
        s = self._settings
        is_compared = any(posterior.evidence.values())
        return time - self._unmatched_since >= (s.offscreen_seconds if is_compared else s.unseen_seconds)

    def _speaking(self, primary: int | None, posterior: Posterior) -> frozenset[int]:
        """The primary speaker where it is more than the best guess, and who speaks beside it."""
        s, before = self._settings, self._now.speaking
        if primary is None:
            return frozenset()
        if posterior.faces[primary] < (s.marked_below if primary in before else s.marked_from):
            return frozenset()
        beside = (
            i
            for i in posterior.faces
            if i != primary and self._pair(posterior, primary, i) >= (s.second_below if i in before else s.second_from)
        )
        return frozenset([primary, *beside])

    @staticmethod
    def _pair(posterior: Posterior, first: int, second: int) -> float:
        pairs = posterior.pairs
        return pairs.get((first, second), pairs.get((second, first), 0.0))
