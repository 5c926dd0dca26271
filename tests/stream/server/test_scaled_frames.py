"""Frames of one size, whatever the sender makes of them on the way."""

from __future__ import annotations

import av
import numpy as np
import pytest

from speakerlight.server.scaled_frames import LONG_SIDE, ScaledFrames


def frame(width: int, height: int, grey: int = 90) -> av.VideoFrame:
    image = np.full((height, width, 3), grey, np.uint8)
    image[:, : width // 2] = 200
    return av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")


@pytest.mark.parametrize(
    "size", [(320, 180), (480, 270), (640, 360), (1280, 720), (1920, 1080), (426, 240), (854, 480)]
)
def test_a_face_stays_where_it_is_when_the_resolution_changes(size: tuple[int, int]) -> None:
    frames = ScaledFrames()
    frames.make(frame(640, 360))
    image = frames.make(frame(*size))
    assert image.shape == (720, 1280, 3) and image.dtype == np.uint8 and image.flags.c_contiguous
    assert abs(int(image[360, 300, 0]) - 200) < 6 and abs(int(image[360, 1000, 0]) - 90) < 6


@pytest.mark.parametrize(
    ("shape", "size"), [((360, 640), (720, 1280)), ((640, 480), (1280, 960)), ((90, 16), (1280, 228))]
)
def test_another_shape_is_another_size(shape: tuple[int, int], size: tuple[int, int]) -> None:
    frames = ScaledFrames()
    assert frames.size is None
    frames.make(frame(640, 360))
    assert frames.size == (1280, 720)
    assert frames.make(frame(*shape)).shape[1::-1] == size == frames.size
    assert max(size) == LONG_SIDE


def test_odd_sizes_are_survived() -> None:
    frames = ScaledFrames()
    for size in ((2, 2), (3, 5), (4096, 2), (1, 1)):
        width, height = (frames.make(frame(*size)).shape[1], frames.make(frame(*size)).shape[0])
        assert max(width, height) == LONG_SIDE and min(width, height) >= 2


@pytest.mark.parametrize(("wanted", "given"), [(960, 960), (100, 320), (4096, 1280), (-5, 320)])
def test_a_small_camera_is_not_blown_up_and_a_large_one_is_bounded(wanted: int, given: int) -> None:
    assert ScaledFrames(wanted).make(frame(320, 180)).shape == (given * 9 // 16, given, 3)
