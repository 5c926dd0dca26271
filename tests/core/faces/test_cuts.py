from __future__ import annotations

import numpy as np

from speakerlight.core.faces.cuts import Change, CutDetector
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image

NOTHING = Change(is_cut=False, replaced=frozenset())
FACE = Box(250, 100, 80, 80)


def scene(seed: int) -> Image:
    """Random blocks of 20 pixels."""
    blocks = np.random.default_rng(seed).integers(0, 255, (18, 32, 3), np.uint8)
    return np.asarray(blocks.repeat(20, axis=0).repeat(20, axis=1))


def after(first: Image, second: Image, faces: tuple[Box, ...] = (FACE,), seconds: float = 0.04) -> Change:
    detector = CutDetector()
    assert detector.update(0.0, first, faces) == NOTHING
    return detector.update(seconds, second, faces)


def test_another_scene_is_a_cut() -> None:
    assert after(scene(0), scene(1)).is_cut
    assert after(scene(0), scene(1), faces=()).is_cut
    assert after(scene(0), scene(1), seconds=1.0).is_cut


def test_a_blank_frame_is_a_cut() -> None:
    assert after(scene(0), np.zeros_like(scene(0))).is_cut
    assert after(np.full_like(scene(0), 200), scene(0)).is_cut


def test_the_same_scene_is_none() -> None:
    noise = np.random.default_rng(5).integers(0, 8, scene(0).shape, np.uint8)
    assert after(scene(0), scene(0) // 2 + 60 + noise) == NOTHING
    assert after(scene(0), np.roll(scene(0), 4, axis=1)) == NOTHING
    assert after(np.zeros_like(scene(0)), np.full_like(scene(0), 7)) == NOTHING


def test_a_change_at_one_face_replaces_that_face() -> None:
    changed = scene(0)
    changed[60:240, 220:360] = scene(1)[60:240, 220:360]
    assert after(scene(0), changed, (Box(20, 20, 80, 80), FACE)) == Change(is_cut=False, replaced=frozenset({1}))
    assert after(scene(0), changed, (FACE,), seconds=1.0) == NOTHING


def test_a_moving_background_replaces_no_face() -> None:
    changed = scene(1)
    changed[60:240, 220:360] = scene(0)[60:240, 220:360]
    assert after(scene(0), changed) == NOTHING


def test_faces_outside_the_frame_and_other_sizes_are_survived() -> None:
    assert after(scene(0), scene(0), (Box(-300, -300, 50, 50), Box(630, 350, 80, 80))) == NOTHING
    assert after(scene(0), scene(1)[:200]) == NOTHING
