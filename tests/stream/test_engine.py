"""The stages that both drivers share: one FrameTracks a tick, ticks without frames, faults as one line."""

from __future__ import annotations

import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.media import Frame
from speakerlight.engine import EmptyFrames, StageError, TickAdapter, stage
from tests.stream.standin import StandInVision


def test_a_frame_that_stands_for_several_ticks_is_looked_at_once() -> None:
    vision = StandInVision()
    watch = TickAdapter(vision)
    frames = [Frame(number / 10, np.full((4, 4, 3), number, np.uint8)) for number in range(11)]
    frame_tracks = [tracks for frame in frames for tracks in watch.push(frame)]
    assert [tracks.tick for tracks in frame_tracks] == list(range(27))
    assert len(vision.strides) == 11
    for tracks in frame_tracks:
        assert abs(tracks.time - tracks.tick / 25) <= 0.05
        assert tracks.faces[0].box.width == round(tracks.time * 10) + 1


def test_faster_video_gives_a_look_a_tick() -> None:
    vision = StandInVision()
    watch = TickAdapter(vision)
    for number in range(121):
        for _ in watch.push(Frame(number / 60, np.zeros((4, 4, 3), np.uint8)), stride=2):
            pass
    assert vision.strides == [2] * 51


def test_without_frames_ticks_follow_the_audio() -> None:
    resets = [0]
    blank = EmptyFrames(resets=lambda: len(resets) - 1)
    assert [tracks.tick for tracks in blank.until(0.1)] == [0, 1, 2]
    assert [tracks.time for tracks in blank.until(0.16)] == pytest.approx([0.12, 0.16])
    assert not list(blank.until(0.16))
    resets.append(0)
    assert [tracks.identities.resets for tracks in blank.until(0.2)] == [1]


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
