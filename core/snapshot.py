"""Snapshot of one scored tick: the immutable value that overlay, events and recordings are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.shot import Direction


class SpeakingState(StrEnum):
    """State of the conversation at one tick."""

    SILENCE = "silence"
    """No speech."""
    UNDECIDED = "undecided"
    """Speech, but the speaker is not known yet."""
    OFFSCREEN = "offscreen"
    """Speech of a person who is not in view."""
    SPEAKING = "speaking"
    """Speech of a face in view."""


@dataclass(frozen=True)
class FaceScore:
    """A face at one tick. ``score``: probability in [0, 1] that this person speaks; ``id``: from 1, never reused.

    ``speaking``: marked as speaking, which the primary speaker is not while it is but the best guess.
    """

    id: int
    box: Box
    score: float
    speaking: bool


@dataclass(frozen=True)
class Lag:
    """The room lag. ``milliseconds`` > 0: the audio is later than the video. ``confidence`` in [0, 1]."""

    milliseconds: float
    confidence: float


@dataclass(frozen=True)
class Snapshot:
    """One scored tick.

    ``time`` is the media time of the frame that was scored (seconds of the session), ``speech`` the probability in
    [0, 1] that there is speech at that time, ``primary`` the id of the primary speaker when ``state`` is SPEAKING.
    ``offscreen``: id of the person who speaks when ``state`` is OFFSCREEN, if known; minus the number of a voice that
    has no person yet. ``merges``: ids that turned out to be one person at this tick. ``names``: of named persons, by
    id. ``direction``: the shot that views and scene switchers show.
    """

    tick: int
    time: float
    speech: float
    faces: tuple[FaceScore, ...]
    state: SpeakingState
    primary: int | None
    lag: Lag
    offscreen: int | None = None
    merges: tuple[Merge, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    direction: Direction = field(default_factory=Direction)

    def is_in_view(self, person: int | None) -> bool:
        """Whether a face of this person is in view; False for None."""
        return any(face.id == person for face in self.faces)
