"""Who is who: a scorer's snapshots of tracks become snapshots of persons."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.identities import NO_IDENTITIES, Merge
from speakerlight.core.media import AudioChunk
from speakerlight.core.snapshot import FaceScore, Snapshot


class TrackScorer(Protocol):
    """Scores tracks (:class:`speakerlight.core.decision.scorer.Scorer`)."""

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None: ...
    def push_audio(self, chunks: Sequence[AudioChunk]) -> None: ...
    def advance(self, stride: int = 1) -> list[Snapshot]: ...
    def finish(self) -> list[Snapshot]: ...


class PersonScorer:
    """A scorer whose snapshots carry the ids of persons."""

    def __init__(self, scorer: TrackScorer) -> None:
        self._scorer = scorer
        self._waiting: deque[FrameTracks] = deque()
        self._identities = NO_IDENTITIES

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        self._waiting.extend(replace(tracks, crops=()) for tracks in frame_tracks)
        self._scorer.push_tracks(frame_tracks)

    def push_audio(self, chunks: Sequence[AudioChunk]) -> None:
        self._scorer.push_audio(chunks)

    def advance(self, stride: int = 1) -> list[Snapshot]:
        return [self._of_persons(snapshot) for snapshot in self._scorer.advance(stride)]

    def finish(self) -> list[Snapshot]:
        return [self._of_persons(snapshot) for snapshot in self._scorer.finish()]

    def _of_persons(self, snapshot: Snapshot) -> Snapshot:
        merges = self._go_on(snapshot.tick)
        persons = self._identities.persons
        primary = snapshot.primary if snapshot.primary is None else persons.get(snapshot.primary, snapshot.primary)
        faces = _by_person(snapshot.faces, persons)
        return replace(snapshot, faces=faces, primary=primary, merges=merges, names=self._identities.names)

    def _go_on(self, tick: int) -> tuple[Merge, ...]:
        """Take the identities up to ``tick``; the merges among them."""
        merges: list[Merge] = []
        while self._waiting and self._waiting[0].tick <= tick:
            self._identities = self._waiting.popleft().identities
            merges += self._identities.merges
        return tuple(merges)


def _by_person(faces: Sequence[FaceScore], persons: Mapping[int, int]) -> tuple[FaceScore, ...]:
    """Each person once, by the face that is most probably speaking; by id."""
    best: dict[int, FaceScore] = {}
    for face in faces:
        person = persons.get(face.id, face.id)
        if person not in best or face.score > best[person].score:
            best[person] = replace(face, id=person)
    return tuple(best[person] for person in sorted(best))
