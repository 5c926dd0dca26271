from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.geometry import Box
from speakerlight.core.identities import Identities, Merge
from speakerlight.core.media import AudioChunk
from speakerlight.core.people.who import PersonScorer
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState

DELAY = 3


class TracksScorer:
    """Marks the first track, three ticks late."""

    def __init__(self) -> None:
        self.waiting: list[FrameTracks] = []
        self.audio = 0

    def push_tracks(self, frame_tracks: Sequence[FrameTracks]) -> None:
        self.waiting.extend(frame_tracks)

    def push_audio(self, chunks: Sequence[AudioChunk]) -> None:
        self.audio += len(chunks)

    def advance(self, stride: int = 1) -> list[Snapshot]:
        return [self.scored(self.waiting.pop(0)) for _ in range(len(self.waiting) - DELAY)]

    def finish(self) -> list[Snapshot]:
        return [self.scored(tracks) for tracks in self.waiting]

    def scored(self, tracks: FrameTracks) -> Snapshot:
        faces = tuple(FaceScore(f.id, f.box, 1 / f.id, f.id == tracks.faces[0].id) for f in tracks.faces)
        return Snapshot(tracks.tick, tracks.time, 1.0, faces, SpeakingState.SPEAKING, tracks.faces[0].id, Lag(0, 1))


def frame(tick: int, persons: Mapping[int, int], *merges: Merge) -> FrameTracks:
    faces = tuple(TrackedFace(i, Box(i, 0, 10, 10), np.zeros((6, 2))) for i in persons)
    crops = (np.zeros((2, 2), np.uint8),) * len(faces)
    return FrameTracks(tick, tick / 25, faces, crops, False, Identities(persons, merges))


def scored(frames: Sequence[FrameTracks]) -> list[Snapshot]:
    scorer = PersonScorer(TracksScorer())
    snapshots: list[Snapshot] = []
    for each in frames:
        scorer.push_tracks([each])
        snapshots += scorer.advance()
    return snapshots + scorer.finish()


def test_snapshots_carry_persons_as_known_at_their_own_tick() -> None:
    frames = [frame(tick, {5: 1, 6: 2}) for tick in range(6)] + [frame(tick, {7: 2}) for tick in range(6, 12)]
    snapshots = scored(frames)
    assert [s.primary for s in snapshots] == [1] * 6 + [2] * 6
    assert [[f.id for f in s.faces] for s in snapshots] == [[1, 2]] * 6 + [[2]] * 6


def test_a_merge_comes_with_the_tick_at_which_it_was_found() -> None:
    frames = [frame(tick, {1: 4}) for tick in range(5)] + [frame(5, {1: 2}, Merge(4, 2)), frame(6, {1: 2})]
    snapshots = scored(frames)
    assert [s.primary for s in snapshots] == [4] * 5 + [2, 2]
    assert [s.merges for s in snapshots] == [()] * 5 + [(Merge(4, 2),), ()]


def test_a_merge_at_a_tick_that_is_not_scored_is_not_lost() -> None:
    class EverySecond(TracksScorer):
        def advance(self, stride: int = 1) -> list[Snapshot]:
            return [s for s in super().advance() if s.tick % 2 == 0]

    scorer = PersonScorer(EverySecond())
    scorer.push_tracks([frame(0, {1: 4}), frame(1, {1: 2}, Merge(4, 2)), *(frame(t, {1: 2}) for t in range(2, 8))])
    assert [(s.tick, s.merges) for s in scorer.advance()] == [(0, ()), (2, (Merge(4, 2),)), (4, ())]


def test_a_person_in_two_tracks_is_reported_once() -> None:
    (snapshot,) = scored([frame(0, {3: 1, 4: 1, 8: 2})])
    assert [(f.id, f.score) for f in snapshot.faces] == [(1, 1 / 3), (2, 1 / 8)]


def test_without_recognition_each_track_is_a_person() -> None:
    plain = FrameTracks(0, 0.0, frame(0, {3: 0, 9: 0}).faces, ())
    (snapshot,) = scored([plain])
    assert [f.id for f in snapshot.faces] == [3, 9] and snapshot.primary == 3
