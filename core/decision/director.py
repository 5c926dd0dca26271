"""Director: decides shots and cuts from turns, for scene switchers and views.

A shot shows one person, everybody, or the room while no active speaker is in view. A change of the active speaker
becomes a cut only when it lasts, so that coughs and one-word answers never cut, and no shot is shorter than the
preset allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from speakerlight.core.shot import NOBODY, WIDE, Candidate, Direction, Shot, close_up
from speakerlight.core.snapshot import Snapshot, SpeakingState

SPEECH = 0.5
"""Speech probability from which a tick counts as speech."""


@dataclass(frozen=True)
class DirectorSettings:
    """When to cut. All in seconds."""

    confirm_seconds: float = 0.3
    """A new speaker must have been the active one for this long while there is speech. A word is 0.2 to 0.4 s, a cough
    0.3 s: with the 0.3 s after which a turn is named they are over before the cut."""
    shortest_seconds: float = 1.2
    """Minimum length of a shot."""
    longest_seconds: float = 30.0
    """Longest shot of one person; a relief shot follows."""
    relief_seconds: float = 3.0
    """Length of a relief shot."""
    no_speaker_after_seconds: float = 2.5
    """Silence or speech out of view for this long ends the shot; a pause in a speech is under 1 s."""
    together_seconds: float = 1.0
    """Several people who speak at once for this long widen the shot; an interjection is shorter."""
    announce_seconds: float = 0.3
    """A cut is announced this long before it: mixers preload the next source."""
    interruption_seconds: float = 0.14
    """A candidate that is away for no longer than this keeps the time that it has collected."""
    has_reactions: bool = False
    """Whether a relief shot shows the previous speaker, when in view, instead of everybody."""


class Preset(StrEnum):
    """How lively the cutting is."""

    CALM = "calm"
    NORMAL = "normal"
    QUICK = "quick"


PRESETS = {
    Preset.CALM: DirectorSettings(
        confirm_seconds=1.2,
        shortest_seconds=4.0,
        longest_seconds=60.0,
        no_speaker_after_seconds=4.0,
        together_seconds=2.0,
    ),
    Preset.NORMAL: DirectorSettings(),
    Preset.QUICK: DirectorSettings(
        shortest_seconds=0.8,
        longest_seconds=20.0,
        no_speaker_after_seconds=1.5,
        together_seconds=0.6,
    ),
}


@dataclass(frozen=True)
class _Wish:
    """A candidate shot, and how long it must be the candidate before the cut."""

    shot: Shot
    patience_seconds: float
    is_relief: bool = False


class Director:
    """Feed snapshots in order of time; returns the shot on air. The first shot may be cut at once."""

    def __init__(self, settings: DirectorSettings | None = None) -> None:
        self._settings = settings or DirectorSettings()
        self._shot = NOBODY
        self._cut_at = float("-inf")
        self._relief_until = float("-inf")
        self._previous_person: int | None = None
        self._pinned: int | None = None
        self._wish: _Wish | None = None
        self._since = 0.0
        self._wished_at = 0.0
        self._announced: Candidate | None = None

    def update(self, snapshot: Snapshot, pinned: int | None = None, *, is_held: bool = False) -> Direction:
        """Advance to the snapshot's time.

        ``pinned``: person whom a command keeps on air while in view; the cut comes at once, as short as the shot before
        it may be. ``is_held``: a command freezes the shot.
        """
        self._follow_merges(snapshot)
        before, self._pinned = self._pinned, pinned
        if pinned is not None and pinned not in (before, self._shot.person) and snapshot.is_in_view(pinned):
            self._cut(snapshot.time, _Wish(close_up(pinned), 0.0))
        self._advance(snapshot.time, self._wish_of(snapshot, pinned, is_held))
        return Direction(self._shot, self._announced)

    def _advance(self, time: float, wanted: _Wish | None) -> None:
        self._follow(time, wanted)
        wish = self._wish
        if wish is None:
            self._announced = None
            return
        due = max(self._since + wish.patience_seconds, self._cut_at + self._settings.shortest_seconds)
        # Without a candidate at this tick (a short interruption) there is no cut.
        if time >= due and self._wished_at == time:
            self._cut(time, wish)
        elif time < due - self._settings.announce_seconds:
            self._announced = None
        elif self._announced is None or self._announced.shot != wish.shot:
            self._announced = Candidate(time, wish.shot, max(due, time))

    def _wish_of(self, snapshot: Snapshot, pinned: int | None, is_held: bool) -> _Wish | None:
        """The candidate at this tick; None: no reason to change."""
        s = self._settings
        speaking = [face.id for face in snapshot.faces if face.speaking]
        if pinned is not None and snapshot.is_in_view(pinned):
            wish = _Wish(close_up(pinned), s.announce_seconds)
        elif is_held:
            return None
        elif snapshot.state in (SpeakingState.SILENCE, SpeakingState.OFFSCREEN):
            wish = _Wish(NOBODY, s.no_speaker_after_seconds)
        elif snapshot.primary is None or snapshot.speech < SPEECH or snapshot.time < self._relief_until:
            # A name outlives its speech by half a second: that must not confirm a cough.
            return None
        elif len(speaking) > 1:
            wish = _Wish(WIDE, s.together_seconds)
        elif self._shot.person == snapshot.primary and self._is_relief_near(snapshot.time):
            wish = _Wish(self._relief(snapshot), s.announce_seconds, is_relief=True)
        else:
            wish = _Wish(close_up(snapshot.primary), s.confirm_seconds)
        return None if wish.shot == self._shot else wish

    def _follow_merges(self, snapshot: Snapshot) -> None:
        """A person whose id changes stays on air without a cut."""
        for merge in snapshot.merges:
            if self._shot.person == merge.id:
                self._shot = close_up(merge.into)
            if self._previous_person == merge.id:
                self._previous_person = merge.into

    def _is_relief_near(self, time: float) -> bool:
        return time - self._cut_at >= self._settings.longest_seconds - self._settings.announce_seconds

    def _relief(self, snapshot: Snapshot) -> Shot:
        previous = self._previous_person
        if previous is None or not self._settings.has_reactions or not snapshot.is_in_view(previous):
            return WIDE
        return close_up(previous)

    def _follow(self, time: float, wish: _Wish | None) -> None:
        """Update the time since which the same shot has been the candidate."""
        if wish is not None and self._wish is not None and wish.shot == self._wish.shot:
            self._wish, self._wished_at = wish, time
        elif self._wish is None or time - self._wished_at > self._settings.interruption_seconds:
            self._wish, self._since, self._wished_at = wish, time, time

    def _cut(self, time: float, wish: _Wish) -> None:
        if wish.is_relief:
            self._relief_until = time + self._settings.relief_seconds
        if self._shot.person is not None and not wish.is_relief:
            self._previous_person = self._shot.person
        self._shot, self._cut_at, self._wish, self._announced = wish.shot, time, None, None
