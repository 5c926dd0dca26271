from __future__ import annotations

import cv2
import numpy as np
import pytest

from speakerlight.core.faces.crops import Crop, MouthCrop, mouth_crop
from speakerlight.core.faces.detection import LEFT_EYE, RIGHT_EYE, Keypoints
from speakerlight.core.media import Image

WANTED = MouthCrop(side_pixels=48, field=1.25)


def keypoints_of(centre: tuple[float, float], eyes: float, tilt: float, turn: float = 1.0) -> Keypoints:
    """A face whose mouth is at ``centre``; ``turn``: how much of the eye distance is seen."""
    points = np.zeros((6, 2))
    points[RIGHT_EYE], points[LEFT_EYE] = (-turn * eyes / 2, -eyes), (turn * eyes / 2, -eyes)
    rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    return np.asarray(points @ rotation.T + centre)


def drawn(centre: tuple[float, float], eyes: float, tilt: float, size: tuple[int, int] = (640, 480)) -> Image:
    """A pattern about the mouth that is the same in units of the eye distance: bright chin left, dark chin right."""
    pattern = np.full((200, 200), 128, np.uint8)
    pattern[:100] = np.linspace(60, 200, 200, dtype=np.uint8)  # brighter to the right above the mouth
    cv2.circle(pattern, (60, 140), 22, 255, -1)
    cv2.circle(pattern, (140, 140), 22, 0, -1)
    step = 1.6 * eyes / 200
    cos, sin = step * np.cos(tilt), step * np.sin(tilt)
    to_image = np.array([[cos, -sin, centre[0] - 100 * (cos - sin)], [sin, cos, centre[1] - 100 * (sin + cos)]])
    flags = cv2.INTER_AREA if step < 1 else cv2.INTER_LINEAR
    grey = cv2.warpAffine(cv2.GaussianBlur(pattern, (0, 0), 3), to_image, size, flags=flags, borderValue=128)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)


def likeness(first: Crop, second: Crop) -> float:
    return float(np.corrcoef(first.ravel().astype(float), second.ravel().astype(float))[0, 1])


REFERENCE = mouth_crop(drawn((320, 240), 80, 0.0), keypoints_of((320, 240), 80, 0.0), WANTED)


def test_a_crop_is_grey_bytes_of_the_wanted_size() -> None:
    for side in (48, 96, 31):
        crop = mouth_crop(drawn((320, 240), 80, 0.0), keypoints_of((320, 240), 80, 0.0), MouthCrop(side, 1.25))
        assert crop.shape == (side, side) and crop.dtype == np.uint8


def test_the_crop_is_upright_with_the_mouth_in_its_middle() -> None:
    # Circles 0.32 eye distances beside and below the mouth: 12.3 pixels from the middle of 48 that span 1.25.
    assert REFERENCE[36, 11] > 220 and REFERENCE[36, 36] < 40
    assert REFERENCE[10, 40] > REFERENCE[10, 8] + 40


@pytest.mark.parametrize("tilt", np.radians([-170, -90, -40, -10, 5, 25, 60, 120, 180]).tolist())
def test_a_tilted_head_comes_out_upright(tilt: float) -> None:
    crop = mouth_crop(drawn((320, 240), 80, tilt), keypoints_of((320, 240), 80, tilt), WANTED)
    assert likeness(crop, REFERENCE) > 0.99


@pytest.mark.parametrize("eyes", [24, 40, 120, 200, 330])
def test_a_face_of_any_size_comes_out_the_same(eyes: float) -> None:
    size = (1280, 960)
    crop = mouth_crop(drawn((640, 480), eyes, 0.0, size), keypoints_of((640, 480), eyes, 0.0), WANTED)
    assert likeness(crop, REFERENCE) > (0.97 if eyes < 40 else 0.99)


@pytest.mark.parametrize("centre", [(100.0, 100.0), (320.4, 240.7), (540.0, 380.0)])
def test_a_face_at_any_place_comes_out_the_same(centre: tuple[float, float]) -> None:
    crop = mouth_crop(drawn(centre, 80, 0.0), keypoints_of(centre, 80, 0.0), WANTED)
    assert likeness(crop, REFERENCE) > 0.99


def test_a_head_turned_aside_keeps_its_size() -> None:
    crop = mouth_crop(drawn((320, 240), 80, 0.3), keypoints_of((320, 240), 80, 0.3, turn=0.2), WANTED)
    assert likeness(crop, REFERENCE) > 0.98


def test_the_field_gives_the_visible_share_of_the_face() -> None:
    image, keypoints = drawn((320, 240), 80, 0.0), keypoints_of((320, 240), 80, 0.0)
    wide = mouth_crop(image, keypoints, MouthCrop(96, 2.5))
    assert likeness(wide[24:72, 24:72], REFERENCE) > 0.99


def test_beyond_the_frame_its_edge_goes_on() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[:, :60], image[:, 60:] = 90, 210
    crop = mouth_crop(image, keypoints_of((5, 190), 80, 0.0), WANTED)
    assert (crop[:, 0] == 90).all() and (crop[-1] == crop[0]).all()


@pytest.mark.parametrize("eyes", [10.0, 80.0, 700.0])
@pytest.mark.parametrize("centre", [(-500.0, 100.0), (900.0, 100.0), (100.0, -400.0), (100.0, 5000.0), (-3.0, -3.0)])
def test_a_face_that_left_the_frame_is_survived(centre: tuple[float, float], eyes: float) -> None:
    image = np.full((200, 300, 3), 77, np.uint8)
    crop = mouth_crop(image, keypoints_of(centre, eyes, 0.4), WANTED)
    assert crop.shape == (48, 48) and (crop == 77).all()


def test_a_large_face_at_the_edge_is_not_squeezed() -> None:
    """A slope down the frame stays one slope when only a sliver of the frame is in the crop."""
    image = np.repeat(np.linspace(0, 240, 1000).astype(np.uint8)[:, None, None], 1000, 1).repeat(3, 2)
    inside = mouth_crop(image, keypoints_of((500, 500), 300, 0.0), WANTED)
    sliver = mouth_crop(image, keypoints_of((1275, 500), 300, 0.0), WANTED)
    assert np.abs(sliver.astype(int) - inside).max() <= 4


def test_large_faces_do_not_shimmer() -> None:
    """Stripes finer than a crop pixel come out grey, not as waves that move with the face."""
    image = np.zeros((1000, 1000, 3), np.uint8)
    image[:, ::2] = 255
    for shift in (0.0, 0.7, 1.3):
        crop = mouth_crop(image, keypoints_of((500 + shift, 500), 330, 0.1), WANTED)
        assert crop.std() < 4 and abs(float(crop.mean()) - 127.5) < 2


def test_keypoints_that_coincide_are_survived() -> None:
    image = np.full((200, 300, 3), 77, np.uint8)
    assert mouth_crop(image, np.full((6, 2), 50.0), WANTED).shape == (48, 48)
