from __future__ import annotations

import numpy as np

from speakerlight.core.models.face_memory import FaceMemory
from speakerlight.core.models.lipsync import FaceEmbeddings

WINDOW, TICKS, DIMENSIONS = 3, 8, 2


def numbered(tick: int, rows: list[int]) -> np.ndarray:
    """Features that tell whose and when they are."""
    return np.array([[100.0 * row + tick] for row in rows], np.float32)


def embedded(tick: int, rows: list[int]) -> FaceEmbeddings:
    features = numbered(tick, rows)
    return FaceEmbeddings(features.repeat(DIMENSIONS, axis=1), np.full(len(rows), 0.8, np.float32))


def test_windows_are_the_newest_ticks_oldest_first() -> None:
    memory = FaceMemory(WINDOW, TICKS, DIMENSIONS)
    one, two = memory.take(), memory.take()
    for tick in range(10, 15):
        memory.put_features(tick, [two, one], numbered(tick, [two, one]))
    windows = memory.windows(14, [one, two])
    assert windows[..., 0].tolist() == [[100.0 * row + tick for tick in (12, 13, 14)] for row in (one, two)]


def test_who_was_not_there_has_empty_features_and_no_embedding() -> None:
    memory = FaceMemory(WINDOW, TICKS, DIMENSIONS)
    rows = [memory.take(), memory.take()]
    for tick in range(20):
        there = rows if tick != 18 else rows[:1]
        memory.put_features(tick, there, numbered(tick, there))
        memory.put_embeddings(tick, there, embedded(tick, there))
    memory.put_features(20, [], None)
    memory.put_embeddings(20, [], None)
    assert memory.windows(20, rows[1:])[0, :, 0].tolist() == [0.0, 100.0 * rows[1] + 19, 0.0]
    vectors = memory.vectors(rows[1:], np.arange(17, 21))
    visual_vad, known = memory.visual_vad(rows[1:], np.arange(17, 21))
    assert known[0].tolist() == [True, False, True, False]
    assert vectors[0, :, 1].tolist() == [100.0 * rows[1] + 17, 0.0, 100.0 * rows[1] + 19, 0.0]
    assert visual_vad is not None
    np.testing.assert_allclose(visual_vad[0], [np.log(4), 0, np.log(4), 0], rtol=1e-6)


def test_a_row_that_is_reused_is_empty() -> None:
    memory = FaceMemory(WINDOW, TICKS, DIMENSIONS)
    first = memory.take()
    memory.put_features(5, [first], numbered(5, [first]))
    memory.put_embeddings(5, [first], embedded(5, [first]))
    memory.release(first)
    assert memory.take() == first
    assert not memory.windows(5, [first]).any()
    vectors = memory.vectors([first], np.arange(TICKS))
    visual_vad, known = memory.visual_vad([first], np.arange(TICKS))
    assert visual_vad is not None and not vectors.any() and not visual_vad.any() and not known.any()


def test_there_is_room_for_more_faces_and_those_before_keep_theirs() -> None:
    memory = FaceMemory(WINDOW, TICKS, DIMENSIONS)
    rows = [memory.take()]
    memory.put_features(0, rows, numbered(0, rows))
    memory.put_embeddings(0, rows, embedded(0, rows))
    rows += [memory.take() for _ in range(24)]
    assert len(set(rows)) == 25 and memory.rows == 32
    assert memory.windows(0, rows)[:, -1, 0].tolist() == [100.0 * rows[0]] + 24 * [0.0]
    assert memory.visual_vad(rows, np.arange(1))[1][:, 0].tolist() == [True] + 24 * [False]
