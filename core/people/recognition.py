"""Face recognition: assigns tracks to persons, so that ids survive absence, cuts and a change of seat; merges ids.

Each track is embedded when it begins and again at intervals. Several looks (face embeddings) are averaged until the
nearest known person is near enough, or every known person is far enough away. A new person who turns out to be an older
one is merged with them (``_merge``). All timing is media time, never wall time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from speakerlight.core.faces.detection import LEFT_EYE, NOSE, RIGHT_EYE, Keypoints
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.identities import Identities, Merge
from speakerlight.core.media import Image
from speakerlight.core.people.face_encoder import Look, face_crop, face_side

Encode = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""Face crops [N, 150, 150, 3] to looks [N, 128] (:class:`speakerlight.core.people.face_encoder.FaceEncoder`)."""


@dataclass(frozen=True)
class RecognitionSettings:
    """Distances are Euclidean, between a track's mean look and the nearest look of a person.

    Measured on 35 people, brightness changed by gamma 0.6 to 1.6: the same person later is within 0.45 in 0.985 to
    0.995 of tries, the nearest of four strangers in 0.000 to 0.005.
    """

    same_distance: float = 0.45
    """A track this near to a person is assigned to that person …"""
    margin: float = 0.05
    """… when every other person is further away by this margin."""
    other_distance: float = 0.55
    """A track further than this from every known person is a new person."""
    outlier_distance: float = 0.65
    """A look further than this from the track's person is an outlier: a turned head, or another face in the track."""
    outliers: int = 2
    """Consecutive outliers that move the track to another person, when they match a known one or the track was lost in
    between. Otherwise it is a turned head: one of 16 people in unbroken tracks looked like a stranger for seconds."""
    first_looks: int = 4
    """Looks averaged before a track between the two distances is decided. Then the nearest person within …"""
    undecided_distance: float = 0.47
    """… this distance is chosen."""
    first_look_seconds: float = 0.0
    """No face is embedded in this time after the first frame: the encoder is still loading in the background."""
    first_interval_seconds: float = 0.12
    """Interval between the first looks: successive frames are too similar to add information."""
    interval_seconds: float = 4.0
    """Interval between looks at a track whose person is known."""
    patience_seconds: float = 0.5
    """A small or turned face is embedded anyway after this time without a better view."""
    absent_seconds: float = 0.3
    """A track that was hidden for this long is embedded again when it returns."""
    least_side: float = 40.0
    """Side in pixels of the crop of a good look."""
    widest_turn: float = 0.35
    """Largest shift of the nose from between the eyes, in eye distances, of a good look."""
    looks_per_frame: int = 2
    """Maximum number of faces embedded in one frame (5 ms each on one core)."""
    kept_looks: int = 16
    """Looks kept for each person."""
    novel_distance: float = 0.25
    """A look nearer than this to a kept one is redundant and is not kept."""


@dataclass(eq=False)
class Person:
    """A person's looks. ``id``: from 1, in order of appearance; 0 until it is first shown."""

    id: int
    name: str | None = None
    looks: list[Look] = field(default_factory=list)
    shown_at: float = float("-inf")

    def distance(self, look: Look) -> float:
        """Distance to the nearest look, or to their mean; infinite without looks."""
        if not self.looks:
            return float("inf")
        known = np.array([*self.looks, np.mean(self.looks, axis=0)])
        return float(np.linalg.norm(known - look, axis=1).min())


@dataclass(eq=False)
class _Track:
    person: Person
    begun_at: float
    shown_at: float
    is_decided: bool
    looks: list[Look] = field(default_factory=list)
    looked_at: float = float("-inf")
    outliers: list[Look] = field(default_factory=list)
    must_verify: bool = False


class FaceRecognizer:
    """Assigns tracks to persons. ``known``: enrolled persons, who get an id when they are first seen."""

    def __init__(
        self, encode: Encode, settings: RecognitionSettings | None = None, known: Sequence[Person] = ()
    ) -> None:
        self._encode = encode
        self._settings = settings or RecognitionSettings()
        self._enrolled = [(person.name, tuple(person.looks)) for person in known]
        self._known = list(known)
        self._resets = 0
        self._tracks: dict[int, _Track] = {}
        self._together: set[frozenset[int]] = set()
        self._merges: list[Merge] = []
        self._next_id = 1
        self._begun_at = float("inf")

    @property
    def known(self) -> Sequence[Person]:
        """All persons, those who are only enrolled included."""
        return tuple(self._known)

    def restore(self, persons: Sequence[Person]) -> None:
        """Take over persons of another session with their ids; new ones get higher ids."""
        self._known += persons
        self._next_id = max([self._next_id, *(person.id + 1 for person in persons)])

    def forget(self) -> None:
        """Forget everybody whom the session met; enrolled people stay as they were enrolled. Ids are not reused."""
        self._known = [Person(0, name, list(looks)) for name, looks in self._enrolled]
        self._tracks, self._together = {}, set()
        self._resets += 1

    def identify(self, time: float, image: Image, faces: Sequence[TrackedFace]) -> Identities:
        """Identify the faces in view. ``faces``: all that are shown at ``time`` (seconds)."""
        self._merges = []
        self._begun_at = min(self._begun_at, time)
        self._note(time, faces)
        for face in self._due(time, faces):
            look = self._encode(face_crop(image, face.keypoints)[None])[0]
            self._take(time, face, look)
        persons = {face.id: self._numbered(self._tracks[face.id].person) for face in faces}
        shown = sorted(set(persons.values()))
        self._together |= {frozenset((a, b)) for a in shown for b in shown if a < b}
        names = {p.id: p.name for p in self._known if p.id and p.name is not None}
        return Identities(persons, tuple(self._merges), names, self._resets)

    def _note(self, time: float, faces: Sequence[TrackedFace]) -> None:
        """Add records of new tracks, and drop those of tracks that can no longer be revived."""
        s = self._settings
        for face in faces:
            track = self._tracks.get(face.id)
            if track is None:
                # With no known person out of view, the face is a new person at once. Otherwise the first look decides,
                # usually in this frame.
                others = [p for p in self._known if not self._is_shown(p, faces)]
                track = _Track(self._new_person(), time, time, is_decided=not others)
                self._tracks[face.id] = track
            elif time - track.shown_at > s.absent_seconds:
                track.must_verify = True
            track.shown_at = track.person.shown_at = time
        if len(self._tracks) > _REMEMBERED_TRACKS:
            self._forget(time)

    def _forget(self, time: float) -> None:
        """Drop the oldest half of the tracks that are not shown; then people without looks, and those not seen for
        longest, as long as they have no name."""
        away = [number for number, track in self._tracks.items() if track.shown_at < time]
        for number in away[: max(len(away) - _REMEMBERED_TRACKS // 2, 0)]:
            del self._tracks[number]
        tracked = {id(track.person) for track in self._tracks.values()}
        gone = [p for p in self._known if p.name is None and id(p) not in tracked]
        gone.sort(key=lambda p: (bool(p.looks), p.shown_at))
        without = sum(not p.looks for p in gone)
        dropped = {id(p) for p in gone[: max(without, len(self._known) - _REMEMBERED_PERSONS)]}
        self._known = [p for p in self._known if id(p) not in dropped]
        ids = {p.id for p in self._known}
        self._together = {pair for pair in self._together if pair <= ids}

    def _is_shown(self, person: Person, faces: Sequence[TrackedFace], but: int | None = None) -> bool:
        return any(
            face.id != but and face.id in self._tracks and self._tracks[face.id].person is person for face in faces
        )

    def _new_person(self) -> Person:
        person = Person(0)
        self._known.append(person)
        return person

    def _numbered(self, person: Person) -> int:
        if not person.id:
            person.id, self._next_id = self._next_id, self._next_id + 1
        return person.id

    def _due(self, time: float, faces: Sequence[TrackedFace]) -> list[TrackedFace]:
        """The faces to embed now: those without looks first, then those whose last look is oldest."""
        s = self._settings
        if time - self._begun_at < s.first_look_seconds:
            return []
        due: list[tuple[float, TrackedFace]] = []
        for face in faces:
            track = self._tracks[face.id]
            is_new = len(track.looks) < s.first_looks or bool(track.outliers) or track.must_verify
            since = time - track.looked_at
            interval = s.first_interval_seconds if is_new else s.interval_seconds
            if len(track.outliers) > s.outliers:
                interval = s.interval_seconds
            if not face.is_found or since < interval:
                continue
            waited = since if track.looks else time - track.begun_at
            if self._is_good(face.keypoints) or (not track.looks and waited >= s.patience_seconds):
                due.append((-since, face))
        due.sort(key=lambda pair: pair[0])
        return [face for _, face in due[: s.looks_per_frame]]

    def _is_good(self, keypoints: Keypoints) -> bool:
        """Whether the face is large enough and looks ahead."""
        s = self._settings
        right, left, nose = keypoints[[RIGHT_EYE, LEFT_EYE, NOSE]]
        across = left - right
        eyes = max(float(np.hypot(*across)), 1.0)
        turn = float((nose - right) @ across) / eyes**2 - 0.5
        return face_side(keypoints) >= s.least_side and abs(turn) <= s.widest_turn

    def _take(self, time: float, face: TrackedFace, look: Look) -> None:
        track = self._tracks[face.id]
        track.looked_at = time
        if not track.is_decided:
            track.looks.append(look)
            self._decide(face.id, track)
            return
        if track.looks and track.person.distance(look) > self._settings.outlier_distance:
            track.outliers = [*track.outliers[-self._settings.outliers :], look]
            if self._has_moved_on(face.id, track):
                self._begin_again(track)
                self._decide(face.id, track)
            return
        track.outliers, track.must_verify = [], False
        track.looks.append(look)
        self._learn(track.person, look)
        self._merge_known(face.id, track)

    def _has_moved_on(self, number: int, track: _Track) -> bool:
        """Whether the outliers show another face rather than a turned head."""
        count = self._settings.outliers
        if len(track.outliers) < count:
            return False
        ranked = self._ranked(number, track, np.mean(track.outliers[-count:], axis=0))
        return track.must_verify or (bool(ranked) and ranked[0][0] < self._settings.same_distance)

    def _begin_again(self, track: _Track) -> None:
        """Move the track to another person: it now shows another face."""
        track.looks, track.outliers, track.must_verify = track.outliers[-self._settings.outliers :], [], False
        track.person, track.is_decided = self._new_person(), False

    def _decide(self, number: int, track: _Track) -> None:
        """Assign an undecided track to a known person, or keep it as a new person, once its looks suffice."""
        s = self._settings
        mean = np.mean(track.looks, axis=0)
        ranked = self._ranked(number, track, mean)
        nearest = ranked[0][0] if ranked else float("inf")
        lead = ranked[1][0] - nearest if len(ranked) > 1 else float("inf")
        is_last = len(track.looks) >= s.first_looks
        if (nearest < s.same_distance and lead > s.margin) or (is_last and nearest < s.undecided_distance):
            self._merge(track.person, ranked[0][1])
        elif nearest < s.other_distance and not is_last:
            return
        track.is_decided, track.must_verify = True, False
        for look in track.looks:
            self._learn(track.person, look)

    def _ranked(self, number: int, track: _Track, look: Look) -> list[tuple[float, Person]]:
        """Candidate persons of the track, nearest first. Persons seen together with the track's person are excluded."""
        shown = {id(t.person) for i, t in self._tracks.items() if i != number and t.shown_at == track.shown_at}
        allowed = [
            p
            for p in self._known
            if p is not track.person and id(p) not in shown and frozenset((p.id, track.person.id)) not in self._together
        ]
        return sorted(((p.distance(look), p) for p in allowed), key=lambda pair: pair[0])

    def _merge_known(self, number: int, track: _Track) -> None:
        """Merge the track's person into an older one, when poor looks had made one person appear as two."""
        mean = np.mean(track.looks[-self._settings.first_looks :], axis=0)
        if len(track.looks) < self._settings.first_looks:
            return
        ranked = self._ranked(number, track, mean)
        if not ranked or ranked[0][0] >= self._settings.same_distance or not 0 < ranked[0][1].id < track.person.id:
            return
        # A look that another face left in a person's track is near it; most of the person's looks are not.
        distances = np.linalg.norm(np.array(ranked[0][1].looks) - mean, axis=1)
        if np.mean(distances < self._settings.other_distance) > 0.5:
            self._merge(track.person, ranked[0][1])

    def _merge(self, person: Person, into: Person) -> None:
        """Join two ids: move the tracks and looks of ``person`` to ``into``."""
        if not into.id:  # an enrolled person, seen for the first time: gets the new id
            into.id = person.id
        elif person.id:
            self._merges.append(Merge(person.id, into.id))
        into.name = into.name or person.name
        for track in self._tracks.values():
            if track.person is person:
                track.person = into
        for look in person.looks:
            self._learn(into, look)
        self._known = [p for p in self._known if p is not person]
        self._together = {frozenset(into.id if i == person.id else i for i in pair) for pair in self._together}

    def _learn(self, person: Person, look: Look) -> None:
        s = self._settings
        if person.looks and np.linalg.norm(np.array(person.looks) - look, axis=1).min() < s.novel_distance:
            return
        person.looks.append(look)
        if len(person.looks) > s.kept_looks:
            del person.looks[s.kept_looks // 2]  # keep the first looks and the latest ones


_REMEMBERED_TRACKS = 256
"""Maximum number of track records: far more than can be revived."""

_REMEMBERED_PERSONS = 256
"""Maximum number of people without a name: 8 KB each."""
