from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.demo.articulation import Lips
from speakerlight.core.demo.person import Pose, cast
from speakerlight.core.demo.portrait import Portrait
from speakerlight.core.faces.detection import FaceDetector, search_tiles
from speakerlight.core.media import Image

STRAIGHT = Pose(0, 0, 0, 1, 0, 0.5)


def drawn(portrait: Portrait, lips: Lips, pose: Pose = STRAIGHT) -> Image:
    image = portrait.backdrop.copy()
    portrait.draw(image, pose, lips)
    return image


def test_people_of_one_cast_differ_and_are_the_same_again() -> None:
    first, again = cast(5, 6), cast(5, 6)
    assert [p.look for p in first] == [p.look for p in again]
    assert len({p.look.skin for p in first}) == len({p.voice.pitch_hz for p in first}) == 6


def test_only_mouth_and_jaw_move_with_the_lips() -> None:
    portrait = Portrait(cast(0, 1)[0].look, 256, 256)
    changed = np.abs(drawn(portrait, Lips(opening=1)).astype(int) - drawn(portrait, Lips())).max(axis=2) > 8
    rows, columns = np.nonzero(changed)
    assert rows.min() > 128 and 40 < np.ptp(columns) < 140
    assert np.count_nonzero(changed) > 500


def test_lids_and_brows_move_above_the_mouth() -> None:
    portrait = Portrait(cast(0, 1)[0].look, 256, 256)
    blink = drawn(portrait, Lips(), STRAIGHT._replace(lids=1.0, brows=1.0))
    rows, _ = np.nonzero(np.abs(blink.astype(int) - drawn(portrait, Lips())).max(axis=2) > 8)
    assert len(rows) > 100 and rows.max() < 150


def test_every_pose_of_the_lips_can_be_drawn_at_any_size_and_place() -> None:
    poses = [Lips(*corner) for corner in np.vstack([np.zeros(6), np.ones(6), np.eye(6)])]
    for side in (48, 300):
        portrait = Portrait(cast(1, 1)[0].look, side, side)
        for lips in poses:
            assert drawn(portrait, lips, Pose(0.3, -0.4, 0.2, 1.2, 0.3, 0.0)).shape == (side, side, 3)


def model_path() -> Path | None:
    places = (Path(__file__).parents[4] / "cache", Path.home() / ".cache")
    return next((hit for p in places if p.is_dir() for hit in p.rglob("*face*short_range*.tflite")), None)


def test_blazeface_finds_every_face_with_eyes_and_mouth_where_they_are() -> None:
    path = model_path()
    if path is None:
        pytest.skip("BlazeFace's model file is not on this machine")
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceDetectorOptions(base_options=BaseOptions(model_asset_path=str(path)))
    side, scale = 216, 0.54 * 216
    with vision.FaceDetector.create_from_options(options) as detector:
        for seed in range(4):
            for person in cast(seed, 6):
                portrait = Portrait(person.look, side, side)
                frame = np.ascontiguousarray(drawn(portrait, Lips(opening=0.4), person.habits.pose(seed))[..., ::-1])
                found = detector.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=frame)).detections
                assert len(found) == 1 and found[0].categories[0].score > 0.8
                right_eye, left_eye, _, mouth = ((k.x * side, k.y * side) for k in found[0].keypoints[:4])
                gap = person.look.eye_gap * scale
                middle = side / 2
                for point, place in (
                    (right_eye, (middle - gap, middle - 0.035 * scale)),
                    (left_eye, (middle + gap, middle - 0.035 * scale)),
                    (mouth, (middle, middle + 0.29 * scale)),
                ):
                    assert np.hypot(*np.subtract(point, place)) < 0.09 * scale


@pytest.mark.parametrize("seed", [2, 6])
def test_blazeface_finds_no_face_in_the_rooms(seed: int) -> None:
    path = model_path()
    if path is None:
        pytest.skip("BlazeFace's model file is not on this machine")
    demo = Demo(DemoSettings(people=9, seed=seed, seconds=5.0))
    image = demo.frame(30)
    detector = FaceDetector(path)
    found = [face for tile in search_tiles(image.shape[1], image.shape[0]) for face in detector.detect(image, tile)]
    detector.close()
    middles = [tile.x + tile.width / 2 for tile in demo.tiles]
    away = [
        min(abs(face.box.centre[0] - x) for x in middles) / demo.tiles[0].width for face in found if face.score > 0.6
    ]
    assert len(away) >= 9 and max(away) < 0.2
