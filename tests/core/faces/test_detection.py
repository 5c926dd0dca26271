from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import (
    BLAZEFACE_SIDE,
    MOUTH,
    NOSE,
    FaceDetector,
    SearchRegion,
    region_around,
    search_tiles,
    shrunk,
)
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from tests.core.faces.blazeface import blazeface

SIZES = [(640, 360), (640, 480), (1280, 720), (1920, 1080), (720, 1280), (3840, 1080), (3840, 2160), (500, 500)]


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    detector = FaceDetector(blazeface())
    yield detector
    detector.close()


@pytest.fixture(scope="module")
def portrait() -> Image:
    """One person, large, in 1280 × 720."""
    return Demo(DemoSettings(people=1)).frame(0)


def holds(region: SearchRegion, face: Box) -> bool:
    return (
        region.left <= face.x
        and region.top <= face.y
        and face.x + face.width <= region.left + region.width
        and face.y + face.height <= region.top + region.height
    )


@pytest.mark.parametrize("side", [200, 240, 384, 385, 427, 720])
def test_shrinking_is_nearly_averaging(portrait: Image, side: int) -> None:
    part = portrait[:side, 300 : 300 + side]
    averaged = cv2.resize(part, (192, 192), interpolation=cv2.INTER_AREA)
    assert cv2.absdiff(shrunk(part, (192, 192)), averaged).mean() < 0.5


def test_a_face_is_found_at_the_same_place_as_with_averaging(detector: FaceDetector, portrait: Image) -> None:
    (face,) = detector.detect(portrait)
    (plain,) = detector.detect(np.asarray(cv2.resize(portrait, (192, 108), interpolation=cv2.INTER_AREA), np.uint8))
    np.testing.assert_allclose(face.keypoints, plain.keypoints * 1280 / 192, atol=0.02 * face.box.width)
    assert face.score == pytest.approx(plain.score, abs=0.02)


def test_a_face_is_looked_for_in_the_thread_that_asks(detector: FaceDetector, portrait: Image) -> None:
    """MediaPipe would hand each call to a thread of its own: two changes of thread a call."""
    submitted: list[str] = []

    def noted(pool: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        submitted.append(str(work))
        return submit(pool, work, *args, **kwargs)

    submit = ThreadPoolExecutor.submit
    with patch.object(ThreadPoolExecutor, "submit", noted):
        assert len(detector.detect(portrait)) == 1
    assert not submitted


@pytest.mark.parametrize("size", SIZES)
def test_search_tiles_lie_in_the_frame_and_begin_with_all_of_it(size: tuple[int, int]) -> None:
    width, height = size
    tiles = search_tiles(width, height)
    assert tiles[0] == SearchRegion(0, 0, width, height)
    for tile in tiles:
        assert tile.left >= 0 and tile.top >= 0 and tile.width > 0 and tile.height > 0
        assert tile.left + tile.width <= width and tile.top + tile.height <= height
    assert len(set(tiles)) == len(tiles)


@pytest.mark.parametrize("size", SIZES)
def test_a_face_of_any_size_lies_whole_and_large_in_some_tile(size: tuple[int, int]) -> None:
    width, height = size
    tiles = search_tiles(width, height)
    smallest = min(tile.height for tile in tiles)
    rng = np.random.default_rng(0)
    for _ in range(400):
        side = np.exp(rng.uniform(np.log(0.2 * smallest), np.log(0.39 * min(width, height))))
        face = Box(rng.uniform(0, width - side), rng.uniform(0, height - side), side, side)
        share = max(side / max(tile.width, tile.height) for tile in tiles if holds(tile, face))
        # BlazeFace finds faces of a fifth of its frame; those this small here are so in any tile.
        assert share >= 0.19, face


@pytest.mark.parametrize("size", [(160, 120), (128, 128), (1, 1), (3000, 20)])
def test_small_frames_are_searched_as_they_are(size: tuple[int, int]) -> None:
    assert search_tiles(*size) == [SearchRegion(0, 0, *size)]


def test_no_tile_is_smaller_than_what_blazeface_sees() -> None:
    for width, height in SIZES:
        assert min(tile.height for tile in search_tiles(width, height)) >= BLAZEFACE_SIDE


def test_a_region_is_a_square_about_the_face() -> None:
    assert region_around(Box(100, 200, 40, 60), 2.0, 1280, 720) == SearchRegion(60, 170, 121, 121)


@pytest.mark.parametrize("seed", range(3))
def test_a_region_stays_in_the_frame_wherever_the_face_went(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(500):
        width, height = rng.integers(1, 2000, 2).tolist()
        box = Box(*rng.uniform(-3000, 5000, 2), *rng.uniform(0, 1000, 2))
        region = region_around(box, rng.uniform(1, 3), width, height)
        assert region.left >= 0 and region.top >= 0 and region.width > 0 and region.height > 0
        assert region.left + region.width <= width and region.top + region.height <= height


def test_drawn_people_are_found_in_the_search_tiles(detector: FaceDetector) -> None:
    demo = Demo(DemoSettings(people=9, seed=1))
    image = demo.frame(0)
    found = [face for tile in search_tiles(*demo.settings.size) for face in detector.detect(image, tile)]
    for tile in demo.tiles:
        left, top, right, bottom = tile.x, tile.y, tile.x + tile.width, tile.y + tile.height
        inside = [f for f in found if left < f.box.centre[0] < right and top < f.box.centre[1] < bottom]
        assert max((f.score for f in inside), default=0) > 0.6


def test_a_face_is_reported_in_pixels_of_the_whole_frame(detector: FaceDetector, portrait: Image) -> None:
    (whole,) = detector.detect(portrait)
    (near,) = detector.detect(portrait, region_around(whole.box, 2.0, 1280, 720))
    shifted = np.zeros((900, 1400, 3), np.uint8)
    shifted[100:820, 50:1330] = portrait
    (moved,) = detector.detect(shifted, SearchRegion(50, 100, 1280, 720))
    size = whole.box.width
    np.testing.assert_allclose(near.keypoints, whole.keypoints, atol=0.08 * size)
    np.testing.assert_allclose(moved.keypoints - (50, 100), whole.keypoints, atol=1e-6)
    np.testing.assert_allclose(np.subtract(moved.box.centre, (50, 100)), whole.box.centre, atol=1e-6)


def test_keypoints_are_in_their_places(detector: FaceDetector, portrait: Image) -> None:
    (face,) = detector.detect(portrait)
    right_eye, left_eye, nose, mouth, right_ear, left_ear = face.keypoints
    assert right_ear[0] < right_eye[0] < face.keypoints[NOSE][0] < left_eye[0] < left_ear[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < face.keypoints[MOUTH][1] == mouth[1]


def test_an_empty_frame_holds_no_face(detector: FaceDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    for image in (np.zeros((480, 640, 3), np.uint8), noise):
        assert detector.detect(image) == []


@pytest.mark.parametrize(
    "region", [SearchRegion(0, 0, 1, 1), SearchRegion(1279, 0, 1, 720), SearchRegion(0, 700, 1280, 3)]
)
def test_a_sliver_of_a_frame_can_be_looked_at(detector: FaceDetector, region: SearchRegion) -> None:
    assert detector.detect(np.zeros((720, 1280, 3), np.uint8), region) == []


def test_a_larger_frame_costs_no_detail_of_the_keypoints(detector: FaceDetector, portrait: Image) -> None:
    (face,) = detector.detect(portrait)
    (large,) = detector.detect(np.asarray(cv2.resize(portrait, None, fx=2, fy=2), np.uint8))
    np.testing.assert_allclose(large.keypoints / 2, face.keypoints, atol=0.03 * face.box.width)


@pytest.mark.parametrize("content", [None, b"", b"<html>not found</html>", b"\x00" * 4096])
def test_an_unusable_model_file_is_one_clear_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "face.tflite"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        FaceDetector(file)
    assert str(file) in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_truncated_model_file_is_one_clear_line(tmp_path: Path) -> None:
    content = blazeface().read_bytes()
    file = tmp_path / "face.tflite"
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="delete it and run again"):
        FaceDetector(file)
