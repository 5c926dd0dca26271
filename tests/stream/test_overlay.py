"""The overlay: what it says, that it can be read at every size, and that it leaves the frame alone."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.overlay import (
    INK,
    OverlayInfo,
    _shade,
    draw_overlay,
    lag_text,
    shown_primary,
    state_text,
    status_items,
)
from speakerlight.palette import colour
from tests.stream.outputs.made import snapshot


def frame(width: int = 640, height: int = 360) -> Image:
    return np.full((height, width, 3), 100, np.uint8)


def face(person: int, x: float, score: float = 0.5, speaking: bool = False) -> FaceScore:
    return FaceScore(person, Box(x, 120, 100, 120), score, speaking)


def scene(*faces: FaceScore, state: SpeakingState = SpeakingState.SILENCE, primary: int | None = None) -> Snapshot:
    return Snapshot(0, 0.0, 0.8, faces, state, primary, Lag(-40.0, 0.9))


def painted(image: Image, person: int, region: slice = slice(None)) -> int:
    """How many pixels of the frame's columns ``region`` have exactly the person's colour."""
    return int((image[:, region] == np.array(colour(person)[::-1])).all(axis=-1).sum())


def test_the_frame_itself_is_left_as_it_was() -> None:
    image = frame()
    image.setflags(write=False)
    drawn = draw_overlay(image, scene(face(1, 100)), OverlayInfo())
    assert drawn.shape == image.shape
    assert (image == 100).all()
    assert (drawn != 100).any()


def test_a_speaker_is_marked_more_than_a_listener_and_the_primary_most() -> None:
    people = [face(1, 50), face(2, 250, speaking=True), face(3, 450, speaking=True)]
    drawn = draw_overlay(frame(), scene(*people, state=SpeakingState.SPEAKING, primary=3), OverlayInfo())
    listener, speaker, primary = (painted(drawn, person) for person in (1, 2, 3))
    assert 0 < listener < speaker < primary


def test_the_bar_grows_with_the_score() -> None:
    marks = [painted(draw_overlay(frame(), scene(face(1, 200, score)), OverlayInfo()), 1) for score in (0, 0.5, 1.0)]
    assert marks[0] < marks[1] < marks[2]


def test_the_pinned_person_stands_out_while_in_the_frame() -> None:
    people = scene(face(1, 50, speaking=True), face(2, 250), state=SpeakingState.SPEAKING, primary=1)
    assert shown_primary(people, None) == 1
    assert shown_primary(people, 2) == 2
    assert shown_primary(people, 9) == 1
    pinned = draw_overlay(frame(), people, OverlayInfo(pinned=2))
    assert painted(pinned, 2) > painted(draw_overlay(frame(), people, OverlayInfo()), 2)


def test_the_state_is_shown_in_words() -> None:
    people = [face(1, 50, speaking=True), face(2, 250, speaking=True)]
    assert state_text(scene()) == "Silence"
    assert state_text(scene(state=SpeakingState.OFFSCREEN)) == "Off-screen speaker"
    assert state_text(scene(state=SpeakingState.UNDECIDED)) == "Speech, speaker undecided"
    assert (
        state_text(replace(scene(*people, state=SpeakingState.SPEAKING, primary=2), names={2: "Ada"}))
        == "Speaking: Ada, 1"
    )


def test_the_status_line_shows_load_latency_and_lag() -> None:
    texts = [text for text, _ in status_items(scene(), OverlayInfo(latency_ms=83.4, load_level=2))]
    assert texts == ["Silence", "load 2", "latency 83 ms", "lag -40 ms"]
    assert [text for text, _ in status_items(scene(), OverlayInfo())] == ["Silence", "lag -40 ms"]
    assert lag_text(Lag(0.0, 0.0)) == "lag –"


@pytest.mark.parametrize(("width", "height"), [(10, 10), (320, 180), (360, 640), (1280, 720), (3840, 2160)])
def test_every_size_of_frame_can_be_drawn_on(width: int, height: int) -> None:
    box = Box(width * 0.4, height * 0.4, width * 0.2, height * 0.2)
    shown = Snapshot(0, 0.0, 1.0, (FaceScore(1, box, 0.9, True),), SpeakingState.SPEAKING, 1, Lag(0, 1))
    drawn = draw_overlay(frame(width, height), replace(shown, names={1: "A long name, Zoë 李"}), OverlayInfo())
    assert drawn.shape == (height, width, 3)
    assert (drawn != 100).any()


def test_faces_that_leave_the_frame_and_numbers_that_are_none_are_survived() -> None:
    people = [
        FaceScore(1, Box(-80, -90, 100, 100), 2.0, True),
        FaceScore(2, Box(600, 330, 100, 100), -1.0, False),
        FaceScore(3, Box(900, 900, 50, 50), math.nan, True),
        FaceScore(4, Box(100, 100, 0, 0), 0.5, False),
    ]
    odd = Snapshot(0, 0.0, math.nan, tuple(people), SpeakingState.SPEAKING, 3, Lag(0, 0))
    assert draw_overlay(frame(), odd, OverlayInfo()).shape == (360, 640, 3)


def test_without_a_snapshot_the_frame_is_shown_as_it_is() -> None:
    assert (draw_overlay(frame(), None, OverlayInfo()) == 100).all()


def test_window_and_recording_may_draw_at_the_same_time() -> None:
    shown, info = replace(snapshot(0.0, [1]), names={1: "Ada Łovelace"}), OverlayInfo()
    expected = draw_overlay(frame(), shown, info)
    wrong: list[int] = []

    def draw() -> None:
        wrong.extend(k for k in range(30) if (draw_overlay(frame(), shown, info) != expected).any())

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("opacity", [0.3, 0.7, 0.75])
def test_a_shade_is_a_blend_with_its_colour_to_within_rounding(opacity: float) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    shaded = frame.copy()
    _shade(shaded, (10, 5), (50, 30), INK, opacity)
    blend = cv2.addWeighted(frame, 1 - opacity, np.full_like(frame, INK), opacity, 0)
    assert cv2.absdiff(shaded[5:30, 10:50], blend[5:30, 10:50]).max() <= 1
    shaded[5:30, 10:50] = frame[5:30, 10:50]
    np.testing.assert_array_equal(shaded, frame)


def test_names_of_recognised_people_are_drawn() -> None:
    plain = snapshot(0.0, [1])
    unnamed, named = (draw_overlay(frame(), each, OverlayInfo()) for each in (plain, replace(plain, names={1: "Ada"})))
    assert (unnamed != named).any()
