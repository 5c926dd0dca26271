"""The shared model: what the model itself gives, fairly, and a mistake is the caller's alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.lipsync import FaceEmbeddings, LipSyncModel
from speakerlight.server.shared_model import SharedModel, _shares

CPU = "cpu"


@pytest.fixture(scope="module")
def compact() -> LipSyncModel:
    return load_compact("cpu")


class Slow:
    """Stands in for a model: 1 ms a row, each row plus one; rows below 0 are a mistake."""

    name, dimensions, frame_stack, frame_window, frame_lookahead, mel_window = "slow", 1, 1, 1, 0, 1

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.threads: set[threading.Thread] = set()
        self.most_at_once = 0
        self._now = 0

    def embed_audio(self, rows: np.ndarray) -> np.ndarray:
        self.batches.append(len(rows))
        self.threads.add(threading.current_thread())
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(0.001 * len(rows))
        self._now -= 1
        if (rows < 0).any():
            raise ValueError("below 0")
        return np.asarray(rows + 1)

    encode_frames = embed_audio

    def embed_faces(self, rows: np.ndarray) -> FaceEmbeddings:
        return FaceEmbeddings(rows + 1, None)


def shared_model(model: Slow, device: str, **settings: Any) -> SharedModel:
    return SharedModel(cast(LipSyncModel, model), device, **settings)


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def at_once(*works: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(10.0) for future in [pool.submit(work) for work in works]]


def test_rooms_get_what_the_model_itself_gives(compact: LipSyncModel) -> None:
    random = np.random.default_rng(1)

    def compare(model: LipSyncModel, faces: int, seed: int) -> None:
        own = load_compact("cpu")
        random = np.random.default_rng(seed)
        side = compact.crop(np.zeros((96, 96, 3), np.uint8), *_face()).shape
        stacks = random.integers(0, 255, (faces, compact.frame_stack, *side), np.uint8)
        features = model.encode_frames(stacks)
        np.testing.assert_allclose(features, own.encode_frames(stacks), atol=1e-5, rtol=1e-5)
        windows = np.repeat(features[:, None], compact.frame_window, axis=1)
        given, alone = model.embed_faces(windows), own.embed_faces(windows)
        np.testing.assert_allclose(given.vectors, alone.vectors, atol=1e-5, rtol=1e-5)
        assert given.visual_vad is not None and alone.visual_vad is not None
        np.testing.assert_allclose(given.visual_vad, alone.visual_vad, atol=1e-5, rtol=1e-5)
        mel = random.normal(size=(3, compact.mel_window, compact.mel.mels)).astype(np.float32)
        np.testing.assert_allclose(model.embed_audio(mel), own.embed_audio(mel), atol=1e-5, rtol=1e-5)

    shared = SharedModel(compact, CPU)
    with shared.room() as one, shared.room() as two, shared.room() as three:
        for seed in random.integers(0, 1000, 3).tolist():
            at_once(
                partial(compare, one, 1, seed),
                partial(compare, two, 2, seed + 1),
                partial(compare, three, 25, seed + 2),
            )
        assert (one.name, one.mel, one.frame_window) == (compact.name, compact.mel, compact.frame_window)
        assert one.mel_start(7) == compact.mel_start(7)


def _face() -> tuple[Any, Any]:
    from speakerlight.core.geometry import Box
    from speakerlight.model_loading import FACE_KEYPOINTS

    return Box(16, 16, 64, 64), np.array(FACE_KEYPOINTS, np.float64)


def test_calls_at_once_are_one_batch() -> None:
    model = Slow()
    shared = shared_model(model, CPU, wait_seconds=1.0)
    with shared.room() as one, shared.room() as two:
        results = at_once(lambda: one.embed_audio(column(1, 2)), lambda: two.embed_audio(column(3)))
    assert [result.tolist() for result in results] == [[[2], [3]], [[4]]]
    assert model.batches == [3]


def test_a_room_alone_computes_in_its_own_thread() -> None:
    model = Slow()
    shared = shared_model(model, CPU)
    with shared.room() as one, shared.room():
        one.embed_audio(column(1))
    assert model.threads == {threading.current_thread()}


def test_what_comes_during_a_batch_is_the_next_one() -> None:
    """Never two at once, and no call is left over when the computing thread has finished its own."""
    model = Slow()
    shared = shared_model(model, CPU)
    with ExitStack() as stack:
        rooms = [stack.enter_context(shared.room()) for _ in range(6)]

        def ask(room: LipSyncModel, value: int) -> None:
            for _ in range(50):
                assert room.embed_audio(column(value)).tolist() == [[value + 1]]

        at_once(*(partial(ask, room, value) for value, room in enumerate(rooms)))
    assert sum(model.batches) == 300 and model.most_at_once == 1
    assert len(model.batches) < 250


def test_a_call_does_not_wait_long_for_others() -> None:
    shared = shared_model(Slow(), CPU, wait_seconds=0.05)
    with shared.room() as one, shared.room():
        begun = time.monotonic()
        one.embed_audio(column(1))
        assert 0.04 < time.monotonic() - begun < 0.5


def test_a_room_alone_does_not_wait_at_all() -> None:
    shared = shared_model(Slow(), CPU, wait_seconds=5.0)
    with shared.room() as one:
        begun = time.monotonic()
        one.embed_audio(column(1))
        assert time.monotonic() - begun < 1.0


def test_a_small_room_is_not_starved_by_a_large_one() -> None:
    """The large one asks for half a second's work without end; the small one waits for two batches at most."""
    over = threading.Event()
    waits: list[float] = []
    shared = shared_model(Slow(), CPU, batch_rows=32)
    with shared.room() as large, shared.room() as small:

        def flood() -> None:
            while not over.is_set():
                assert len(large.embed_audio(np.zeros((500, 1), np.float32))) == 500

        def ask() -> None:
            try:
                for value in range(10):
                    begun = time.monotonic()
                    assert small.embed_audio(column(value, value)).tolist() == [[value + 1]] * 2
                    waits.append(time.monotonic() - begun)
            finally:
                over.set()

        at_once(flood, ask)
    assert sorted(waits)[len(waits) // 2] < 0.15


@pytest.mark.parametrize(
    ("wanted", "capacity", "shares"),
    [
        ([2, 25], 64, [2, 25]),
        ([100, 2], 32, [30, 2]),
        ([100, 100], 32, [16, 16]),
        ([100, 1, 100], 33, [16, 1, 16]),
        ([5, 5, 5], 2, [1, 1, 1]),
    ],
)
def test_rows_are_shared_fairly(wanted: list[int], capacity: int, shares: list[int]) -> None:
    assert _shares(wanted, capacity) == shares


def test_a_mistake_is_the_callers_alone() -> None:
    shared = shared_model(Slow(), CPU, wait_seconds=1.0)
    with shared.room() as good, shared.room() as bad:

        def fails() -> None:
            with pytest.raises(ValueError, match="below 0"):
                bad.embed_audio(column(-1))

        result, _ = at_once(lambda: good.embed_audio(column(1)), fails)
        assert result.tolist() == [[2]]
        assert bad.embed_audio(column(5)).tolist() == [[6]]


def test_shapes_that_do_not_go_together_are_computed_one_by_one() -> None:
    shared = shared_model(Slow(), CPU, wait_seconds=1.0)
    with shared.room() as one, shared.room() as two:
        wide = np.ones((1, 3), np.float32)
        results = at_once(lambda: one.embed_audio(column(1)), lambda: two.embed_audio(wide))
    assert [tuple(result.shape) for result in results] == [(1, 1), (1, 3)]


def test_nothing_is_computed_like_anything_else() -> None:
    """An empty call gets an empty result of the model's shape, and the calls after it are computed."""
    shared = shared_model(Slow(), CPU)
    with shared.room() as one, shared.room() as two:

        def ask_for_nothing() -> None:
            for _ in range(5):
                assert one.embed_audio(np.zeros((0, 1), np.float32)).shape == (0, 1)

        def ask() -> None:
            for value in range(5):
                assert two.embed_audio(column(value)).tolist() == [[value + 1]]

        at_once(ask_for_nothing, ask)
