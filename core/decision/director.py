"""Director: decides from turns which shot scene switchers and views show, and when they cut to another.

A shot shows one person, everybody, or the room while no active speaker is in view. The person on air is replaced by
the active speaker as soon as that person has talked more lately, so that coughs and one-word answers do not cut, a
pause lets the next speaker in sooner, and no shot is shorter than the preset allows.
Cuts that the video itself has are found by ``core/faces/cuts.py``.
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum

from speakerlight.core.shot import NOBODY, WIDE, Candidate, Direction, Shot, close_up
from speakerlight.core.snapshot import Snapshot, SpeakingState
from speakerlight.core.timebase import TICK_RATE

SPEECH = 0.5
"""Speech probability from which a tick counts as speech."""

LEAST_TALK_SECONDS = 0.02
"""Talk from which a person can be announced: one tick that is certain, or several that are not."""

HALF_TICK = 0.5 / TICK_RATE
"""A cut comes at the tick that is nearest to the announced time."""

LONGEST_STEP_SECONDS = 0.16
"""Longest time for which one snapshot counts as talk: the coarsest load level scores every fourth tick."""


@dataclass(frozen=True)
class DirectorSettings:
    """When to cut. All in seconds."""

    memory_seconds: float = 0.8
    """Time constant with which talk is forgotten. Who speaks right after somebody's long turn has talked more lately
    after 0.7 times this, which a word (0.2 to 0.5 s) does not reach; who speaks after a pause, sooner. Chosen on
    composed sessions of recorded people: below 0.8, answers of one word cut, above, more turns are shown late."""
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
    """A cut is announced at least this long before it: mixers preload the next source."""
    interruption_seconds: float = 0.14
    """A candidate that is away for no longer than this stays announced."""
    has_reactions: bool = False
    """Whether a relief shot shows the previous speaker, when in view, instead of everybody."""


class Preset(StrEnum):
    """How lively the cutting is."""

    CALM = "calm"
    NORMAL = "normal"
    QUICK = "quick"


PRESETS = {
    Preset.CALM: DirectorSettings(
        memory_seconds=1.8,
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


class _Talk:
    """How long each person has talked lately: seconds times probability, forgotten with a time constant."""

    def __init__(self, memory_seconds: float) -> None:
        self._memory_seconds = memory_seconds
        self._seconds: dict[int, float] = {}
        self._time = 0.0

    def push(self, snapshot: Snapshot) -> None:
        """Forget for the time since the last snapshot, and count this one where there is speech."""
        for merge in snapshot.merges:
            if (seconds := self._seconds.pop(merge.id, None)) is not None:
                self._seconds[merge.into] = self._seconds.get(merge.into, 0.0) + seconds
        step = snapshot.time - self._time
        self._time = snapshot.time
        kept = math.exp(-step / self._memory_seconds)
        self._seconds = {i: seconds * kept for i, seconds in self._seconds.items() if seconds >= 1e-3}
        if snapshot.speech >= SPEECH:
            for face in snapshot.faces:
                self._seconds[face.id] = self.of(face.id) + face.score * min(step, LONGEST_STEP_SECONDS)

    def of(self, person: int | None) -> float:
        return 0.0 if person is None else self._seconds.get(person, 0.0)

    def seconds_until_more(self, challenger: int | None, person: int | None) -> float:
        """Seconds until ``challenger`` has talked more lately than ``person``, if only the challenger goes on."""
        behind = max(self.of(person) - self.of(challenger), 0.0)
        return self._memory_seconds * math.log1p(behind / self._memory_seconds)


@dataclass(frozen=True)
class _Wish:
    """A candidate shot. ``patience_seconds``: how long it must be the candidate before the cut; None: until the person
    has talked more lately than who is on air, and is the active speaker.
    """

    shot: Shot
    patience_seconds: float | None
    is_relief: bool = False


class Director:
    """Feed snapshots in order of time; returns the shot on air. The first shot may be cut at once."""

    def __init__(self, settings: DirectorSettings | None = None) -> None:
        self._settings = settings or DirectorSettings()
        self._talk = _Talk(self._settings.memory_seconds)
        self._shot = NOBODY
        self._cut_at = float("-inf")
        self._relief_until = float("-inf")
        self._previous_person: int | None = None
        self._pinned: int | None = None
        self._wish: _Wish | None = None
        self._since = 0.0
        self._wished_at = 0.0
        self._announced: Candidate | None = None

    def update(
        self,
        snapshot: Snapshot,
        pinned: int | None = None,
        *,
        excluded: Set[int] = frozenset(),
        is_held: bool = False,
    ) -> Direction:
        """Advance to the snapshot's time.

        ``pinned``: person whom a command keeps on air while in view; the cut comes at once, as short as the shot before
        it may be. ``excluded``: persons who are never a candidate. ``is_held``: a command freezes the shot.
        """
        self._talk.push(snapshot)
        self._follow_merges(snapshot)
        before, self._pinned = self._pinned, pinned
        if pinned is not None and pinned not in (before, self._shot.person) and snapshot.is_in_view(pinned):
            self._cut(snapshot.time, _Wish(close_up(pinned), 0.0))
        self._follow(snapshot.time, self._wish_of(snapshot, pinned, excluded, is_held))
        self._advance(snapshot)
        return Direction(self._shot, self._announced)

    def _advance(self, snapshot: Snapshot) -> None:
        """Announce the candidate before its cut is due, cut when it is, or withdraw it."""
        s, time, wish, announced = self._settings, snapshot.time, self._wish, self._announced
        if wish is None:
            self._announced = None
            return
        if wish.patience_seconds is None:
            due = time + self._talk.seconds_until_more(wish.shot.person, self._shot.person)
            is_ready = wish.shot.person == snapshot.primary
        else:
            due, is_ready = self._since + wish.patience_seconds, True
        due = max(due, self._cut_at + s.shortest_seconds)
        if due > time + s.announce_seconds:
            self._announced = None
        elif announced is None or announced.shot != wish.shot:
            self._announced = Candidate(time, wish.shot, time + s.announce_seconds)
        elif time >= max(due, announced.cut_time - HALF_TICK) and is_ready and self._wished_at == time:
            # Without a candidate at this tick (a short interruption) there is no cut.
            self._cut(time, wish)

    def _wish_of(self, snapshot: Snapshot, pinned: int | None, excluded: Set[int], is_held: bool) -> _Wish | None:
        """The candidate at this tick; None: no reason to change."""
        s = self._settings
        speaking = [face.id for face in snapshot.faces if face.speaking]
        if pinned is not None and snapshot.is_in_view(pinned):
            wish = _Wish(close_up(pinned), s.announce_seconds)
        elif is_held:
            return None
        elif snapshot.state in (SpeakingState.SILENCE, SpeakingState.OFFSCREEN):
            wish = _Wish(NOBODY, s.no_speaker_after_seconds)
        elif snapshot.speech < SPEECH or snapshot.time < self._relief_until:
            # A name outlives its speech by half a second: that must not confirm a cough.
            return None
        elif len(speaking) > 1:
            wish = _Wish(WIDE, s.together_seconds)
        elif snapshot.primary is not None and snapshot.primary == self._shot.person and self._is_relief_near(snapshot):
            wish = _Wish(self._relief(snapshot), s.announce_seconds, is_relief=True)
        elif (challenger := self._challenger(snapshot, excluded)) is not None:
            wish = _Wish(close_up(challenger), None)
        else:
            return None
        return None if wish.shot == self._shot else wish

    def _challenger(self, snapshot: Snapshot, excluded: Set[int]) -> int | None:
        """Who may follow the person on air: the active speaker; while that is still the person on air, or undecided,
        who has talked most lately of the others, if more probably the speaker at this tick.
        """
        best = snapshot.primary
        if best is None or best == self._shot.person:
            scores = {face.id: face.score for face in snapshot.faces}
            on_air = scores.pop(self._shot.person, 0.0) if self._shot.person is not None else 0.0
            others = [person for person, score in scores.items() if score > on_air and person not in excluded]
            best = max(others, key=self._talk.of, default=None)
        return best if self._talk.of(best) >= LEAST_TALK_SECONDS else None

    def _follow_merges(self, snapshot: Snapshot) -> None:
        """A person whose id changes stays on air without a cut."""
        for merge in snapshot.merges:
            if self._shot.person == merge.id:
                self._shot = close_up(merge.into)
            if self._previous_person == merge.id:
                self._previous_person = merge.into

    def _is_relief_near(self, snapshot: Snapshot) -> bool:
        return snapshot.time - self._cut_at >= self._settings.longest_seconds - self._settings.announce_seconds

    def _relief(self, snapshot: Snapshot) -> Shot:
        previous = self._previous_person
        if previous is None or not self._settings.has_reactions or not snapshot.is_in_view(previous):
            return WIDE
        return close_up(previous)

    def _follow(self, time: float, wish: _Wish | None) -> None:
        """Update the time since which the same shot has been the candidate. Speech ends a silence at once."""
        before = self._wish
        if wish is not None and before is not None and wish.shot == before.shot:
            self._wish, self._wished_at = wish, time
            return
        is_over = before is None or time - self._wished_at > self._settings.interruption_seconds
        if is_over or (wish is not None and before is not None and before.shot == NOBODY):
            self._wish, self._since, self._wished_at = wish, time, time

    def _cut(self, time: float, wish: _Wish) -> None:
        if wish.is_relief:
            self._relief_until = time + self._settings.relief_seconds
        if self._shot.person is not None and not wish.is_relief:
            self._previous_person = self._shot.person
        self._shot, self._cut_at, self._wish, self._announced = wish.shot, time, None, None
