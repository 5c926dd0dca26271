from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.geometry import Box
from speakerlight.core.models.compact import Compact
from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.models.face_stream import FaceEncoderStream
from speakerlight.core.models.features import Features
from speakerlight.core.models.lipsync import Crop, FaceEmbeddings
from speakerlight.core.training.augmentation import plain_crops
from speakerlight.core.training.evaluation import embed_clip

MEMORY = 128
TICKS = 60


def stored_crops(seed: int) -> np.ndarray:
    """A blurred pattern that moves: uint8 [TICKS, 96, 96]."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 1, TICKS // 5, 8, 8)))
    fine = torch.nn.functional.interpolate(coarse, (TICKS, 96, 96), mode="trilinear")
    return fine[0, 0].numpy().astype(np.uint8)


def as_engine_crops(stored: np.ndarray) -> np.ndarray:
    return plain_crops(torch.from_numpy(stored)[None])[0].round().to(torch.uint8).numpy()


CROPS = as_engine_crops(stored_crops(1))


class StandIn(Compact):
    """Costs nothing."""

    def __init__(self) -> None:
        pass

    def encode_frames(self, stacks: npt.NDArray[np.uint8]) -> Features:
        return np.zeros((len(stacks), 4), np.float32)

    def embed_faces(self, windows: Features) -> FaceEmbeddings:
        return FaceEmbeddings(np.ones((len(windows), self.dimensions), np.float32), None)


def tracks(tick: int, crops: dict[int, Crop]) -> FrameTracks:
    faces = tuple(TrackedFace(i, Box(tick, i, 10, 10), np.zeros((6, 2))) for i in crops)
    return FrameTracks(tick, tick / 25, faces, tuple(crops.values()))


def seen(model: Compact, ticks: Sequence[int], who: Sequence[int] = (1,)) -> FaceEncoderStream:
    faces = FaceEncoderStream(model, MEMORY)
    for tick in ticks:
        faces.push([tracks(tick, dict.fromkeys(who, CROPS[tick]))])
    return faces


def vectors(faces: FaceEncoderStream, ticks: npt.NDArray[np.int_] | range, person: int = 1) -> npt.NDArray[np.float32]:
    return np.asarray(faces.vectors([person], np.asarray(ticks))[0])


def visual_vad(faces: FaceEncoderStream, ticks: npt.NDArray[np.int_] | range) -> npt.NDArray[np.float32]:
    """The probability that the mouth speaks, NaN where there is none."""
    log_odds, known = faces.visual_vad([1], np.asarray(ticks))
    assert log_odds is not None
    return np.asarray(np.where(known, 1 / (1 + np.exp(-log_odds)), np.nan)[0], np.float32)


def test_a_stream_gives_the_whole_clips_embeddings(network: CompactSyncNet, model: Compact) -> None:
    stored = stored_crops(1)
    # Crops are whole grey values in the engine: the whole-clip path gets the same ones.
    whole = embed_clip(network, stored, np.zeros(TICKS * 640, np.float32))
    rounding = np.abs(plain_crops(torch.from_numpy(stored)[None])[0].numpy() - CROPS).max()
    assert rounding <= 0.5
    faces = seen(model, range(TICKS))
    faces.finish()
    assert faces.through == TICKS - 1
    np.testing.assert_allclose(vectors(faces, range(TICKS)), whole.faces, atol=3e-3)
    np.testing.assert_allclose(visual_vad(faces, range(TICKS)), whole.visual_vad, atol=3e-3)


def test_on_the_same_grey_values_both_are_the_same(
    network: CompactSyncNet, model: Compact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speakerlight.core.training.evaluation.plain_crops", lambda crops: crops.float())
    whole = embed_clip(network, CROPS, np.zeros(TICKS * 640, np.float32))
    faces = seen(model, range(TICKS))
    faces.finish()
    np.testing.assert_allclose(vectors(faces, range(TICKS)), whole.faces, atol=1e-4)
    np.testing.assert_allclose(visual_vad(faces, range(TICKS)), whole.visual_vad, atol=1e-4)


def test_a_face_is_embedded_four_ticks_after_it_was_seen(model: Compact) -> None:
    faces = FaceEncoderStream(model, MEMORY)
    assert faces.through < 0
    for tick in range(10):
        faces.push([tracks(tick, {1: CROPS[tick]})])
        assert faces.through == tick - 4
        assert bool(vectors(faces, range(faces.through + 1)).any(axis=1).all()) if tick >= 4 else True


def test_other_faces_in_the_batch_change_nothing(model: Compact) -> None:
    alone, together = seen(model, range(30)), seen(model, range(30), who=(7, 1, 3))
    np.testing.assert_allclose(vectors(alone, range(MEMORY)), vectors(together, range(MEMORY)), atol=1e-5)


def test_many_ticks_at_once_are_what_they_are_one_by_one(model: Compact) -> None:
    """People come, go for longer than a face is remembered, and others take their place; some ticks are dropped."""
    frame_tracks = []
    for tick in [t for t in range(MEMORY) if t % 7 != 3]:
        there = {1: CROPS[tick % TICKS]} if tick < 40 or tick > 60 else {}
        there |= {2 + tick // 45: CROPS[-tick % TICKS]} if tick % 45 < 15 else {}
        frame_tracks.append(tracks(tick, there))
    one_by_one, at_once = FaceEncoderStream(model, MEMORY), FaceEncoderStream(model, MEMORY)
    for one_frame in frame_tracks:
        one_by_one.push([one_frame])
    at_once.push(frame_tracks[:5])
    at_once.push(frame_tracks[5:])
    assert at_once.through == one_by_one.through and at_once.known.keys() == one_by_one.known.keys()
    for tick in range(MEMORY):
        assert at_once.at(tick) == one_by_one.at(tick)
    ids, ticks = list(one_by_one.known), np.arange(MEMORY)
    np.testing.assert_allclose(at_once.vectors(ids, ticks), one_by_one.vectors(ids, ticks), atol=1e-5)
    for given, expected in zip(at_once.visual_vad(ids, ticks), one_by_one.visual_vad(ids, ticks), strict=True):
        assert given is not None and expected is not None
        np.testing.assert_allclose(given, expected, atol=1e-5)


def test_to_shed_load_only_some_ticks_are_embedded_and_those_are_the_same(model: Compact) -> None:
    every, some = FaceEncoderStream(model, MEMORY), FaceEncoderStream(model, MEMORY)
    for tick in range(40):
        every.push([tracks(tick, {1: CROPS[tick]})])
        some.push([tracks(tick, {1: CROPS[tick]})], stride=4)
    embedded = np.arange(0, some.through + 1, 4)
    np.testing.assert_allclose(vectors(some, embedded), vectors(every, embedded), atol=1e-5)
    ticks = np.arange(some.through + 1)
    assert some.visual_vad([1], ticks)[1][0].tolist() == [tick % 4 == 0 for tick in ticks]


def test_who_was_in_view_and_where_is_known_by_tick(model: Compact) -> None:
    faces = FaceEncoderStream(model, MEMORY)
    for tick in range(20):
        faces.push([tracks(tick, {1: CROPS[tick]} | ({2: CROPS[tick]} if 5 <= tick < 12 else {}))])
    assert set(faces.at(4)) == {1}
    assert set(faces.at(5)) == set(faces.at(11)) == {1, 2}
    assert set(faces.at(12)) == {1}
    assert faces.at(7)[2] == Box(7, 2, 10, 10)
    assert faces.at(-1) == {} and faces.at(20) == {}


def test_a_face_that_leaves_is_embedded_to_its_last_frame(network: CompactSyncNet, model: Compact) -> None:
    faces = FaceEncoderStream(model, MEMORY)
    for tick in range(MEMORY + 40):
        there = tick < MEMORY + 20
        faces.push([tracks(tick, {1: CROPS[tick % TICKS]} if there else {})])
    ended = FaceEncoderStream(model, MEMORY)
    for tick in range(MEMORY + 20):
        ended.push([tracks(tick, {1: CROPS[tick % TICKS]})])
    ended.finish()
    last = np.arange(MEMORY, MEMORY + 20) % MEMORY
    np.testing.assert_allclose(vectors(faces, last), vectors(ended, last), atol=1e-5)


def test_nothing_old_shows_through_where_a_face_was_away_for_a_moment(model: Compact) -> None:
    faces = FaceEncoderStream(model, 32)
    away = range(50, 60)
    for tick in range(75):
        faces.push([tracks(tick, {} if tick in away else {1: CROPS[tick % TICKS]})])
    slots = np.array(away) % 32
    assert all(faces.at(tick) == {} for tick in away)
    assert not vectors(faces, slots).any()
    assert np.isnan(visual_vad(faces, slots)).all()
    assert faces.at(49) and faces.at(60)


def test_a_face_that_is_back_after_a_moment_mixes_no_frames_from_before(model: Compact) -> None:
    back, new = FaceEncoderStream(model, MEMORY), FaceEncoderStream(model, MEMORY)
    for tick in range(10):
        back.push([tracks(tick, {1: CROPS[tick]})])
    for tick in range(10, 22):
        back.push([tracks(tick, {})])
    for tick in range(22, 50):
        back.push([tracks(tick, {1: CROPS[tick]})])
        new.push([tracks(tick, {1: CROPS[tick]})])
    np.testing.assert_allclose(vectors(back, range(22, 46)), vectors(new, range(22, 46)), atol=1e-5)


def test_a_face_that_left_is_forgotten_after_a_second(model: Compact) -> None:
    faces = seen(model, range(10))
    for tick in range(10, 35):
        faces.push([tracks(tick, {})])
    assert 1 in faces.known
    faces.push([tracks(35, {})])
    assert faces.known == {}


def test_a_face_that_is_back_after_more_than_a_second_begins_anew(model: Compact) -> None:
    faces = seen(model, [*range(10), 50, 51])
    assert faces.known[1].first_tick == 50
    assert faces.at(30) == {} and set(faces.at(50)) == {1}


def test_dropped_ticks_are_filled_with_the_frame_before(model: Compact) -> None:
    dropped = seen(model, [tick for tick in range(40) if tick % 4 != 3])
    held = FaceEncoderStream(model, MEMORY)
    for tick in range(39):
        held.push([tracks(tick, {1: CROPS[tick - (tick % 4 == 3)]})])
    assert dropped.through == held.through
    np.testing.assert_allclose(vectors(dropped, range(MEMORY)), vectors(held, range(MEMORY)), atol=1e-5)
    assert set(dropped.at(3)) == {1}


def test_a_newcomer_is_not_filled_in_before_it_came(model: Compact) -> None:
    faces = seen(model, range(5))
    faces.push([tracks(8, {1: CROPS[8], 2: CROPS[8]})])
    assert set(faces.at(6)) == {1} and set(faces.at(8)) == {1, 2}


def test_a_session_may_begin_late_and_be_empty(model: Compact) -> None:
    faces = FaceEncoderStream(model, MEMORY)
    faces.finish()
    assert faces.at(0) == {}
    late = FaceEncoderStream(model, MEMORY)
    late.push([tracks(100_000, {})])
    late.push([tracks(100_001, {1: CROPS[0]})])
    late.finish()
    assert set(late.at(100_001)) == {1} and vectors(late, range(100_001, 100_002)).any()


def test_memory_does_not_grow_with_time() -> None:
    faces = FaceEncoderStream(StandIn(), MEMORY)

    for tick in range(3000):
        faces.push([tracks(tick, {1: CROPS[0], 2 + tick // 50: CROPS[0]})])
        assert len(faces.known) <= 3
    assert faces.memory.rows == 4
    for face in faces.known.values():
        assert len(face.crops) <= StandIn.frame_stack and len(face.boxes) == MEMORY


def test_a_face_that_is_not_found_is_in_view_but_has_no_embedding(model: Compact) -> None:
    """A tile that turned grey: where the face was is no evidence of what its lips do."""
    faces = FaceEncoderStream(model, MEMORY)
    for tick in range(30):
        now = tracks(tick, {1: CROPS[tick]})
        faces.push([replace(now, faces=tuple(replace(f, is_found=not 10 <= tick < 20) for f in now.faces))])
    known = np.asarray(vectors(faces, range(25)).any(axis=1))
    assert [tick for tick in range(25) if not known[tick]] == list(range(10, 20))
    assert all(faces.at(tick) for tick in range(25))
