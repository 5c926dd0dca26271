"""What both drivers share: one sighting a tick, ticks without pictures, faults as one line."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import InputError
from core.media import Frame
from stream.engine import Blank, StageError, Watch, stage
from tests.stream.standin import StandInVision


def test_a_picture_that_stands_for_several_ticks_is_looked_at_once() -> None:
    vision = StandInVision()
    watch = Watch(vision)
    frames = [Frame(number / 10, np.full((4, 4, 3), number, np.uint8)) for number in range(11)]
    sightings = [sighting for frame in frames for sighting in watch.see(frame)]
    assert [sighting.tick for sighting in sightings] == list(range(27))
    assert len(vision.strides) == 11
    for sighting in sightings:
        assert abs(sighting.time - sighting.tick / 25) <= 0.05
        assert sighting.faces[0].box.width == round(sighting.time * 10) + 1


def test_faster_video_gives_a_look_a_tick() -> None:
    vision = StandInVision()
    watch = Watch(vision)
    for number in range(121):
        for _ in watch.see(Frame(number / 60, np.zeros((4, 4, 3), np.uint8)), stride=2):
            pass
    assert vision.strides == [2] * 51


def test_without_pictures_ticks_follow_the_sound() -> None:
    blank = Blank()
    assert [sighting.tick for sighting in blank.until(0.1)] == [0, 1, 2]
    assert [sighting.time for sighting in blank.until(0.16)] == pytest.approx([0.12, 0.16])
    assert not list(blank.until(0.16))


def test_a_fault_is_one_line_that_names_stage_and_place() -> None:
    with (
        pytest.raises(StageError, match=r"^vision failed: ZeroDivisionError: division by zero \(test_engine.py:\d+\)$"),
        stage("vision"),
    ):
        1 / 0  # noqa: B018
    with pytest.raises(InputError, match=r"^yours$"), stage("outer"), stage("inner"):
        raise InputError("yours")
    with pytest.raises(StageError, match=r"^inner failed"), stage("outer"), stage("inner"):
        raise OSError
