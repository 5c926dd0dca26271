"""Load shedding: in order, when late, back when easy, and without swinging."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.geometry import Box
from speakerlight.load_shedding import PLANS, GovernorSettings, LoadGovernor, ScoredFaces

TICK = 0.04


def levels(governor: LoadGovernor, lateness: float, start: float, seconds: float) -> list[int]:
    return [governor.update(lateness, start + number * TICK) for number in range(round(seconds / TICK))]


def test_the_order_is_scores_then_detection_then_people() -> None:
    assert [(plan.score_stride, plan.vision_stride, plan.most_faces is None) for plan in PLANS] == [
        (1, 1, True),
        (2, 1, True),
        (4, 1, True),
        (4, 2, True),
        (4, 2, False),
    ]
    assert [plan.level for plan in PLANS] == list(range(len(PLANS)))


def test_in_time_nothing_is_shed() -> None:
    governor = LoadGovernor()
    assert set(levels(governor, 0.04, 0, 60)) == {0}
    assert governor.plan == PLANS[0]


def test_a_newcomer_begins_where_the_others_are() -> None:
    seen = levels(LoadGovernor(GovernorSettings(first_level=3)), 0.0, 0, 30)
    assert seen[0] == 3 and seen[-1] == 0 and sorted(seen, reverse=True) == seen


def test_a_hiccup_is_not_shed() -> None:
    governor = LoadGovernor()
    assert set(levels(governor, 0.0, 0, 5) + levels(governor, 0.3, 5, 0.2) + levels(governor, 0.0, 5.2, 5)) == {0}


def test_one_stall_sheds_nothing_though_a_frame_was_dropped() -> None:
    governor = LoadGovernor()
    levels(governor, 0.0, 0, 5)
    assert governor.update(0.2, 5.2, has_dropped=True) == 0
    assert set(levels(governor, 0.03, 5.24, 5)) == {0}


def test_frames_that_are_dropped_again_and_again_are_too_much() -> None:
    """A vision thread that needs half as long again as there is: its ring makes it two ticks late, never more."""
    governor = LoadGovernor()
    seen = [governor.update(0.08, number * 0.06, has_dropped=number % 2 == 0) for number in range(50)]
    assert seen[3] == 0 < seen[-1]


def test_lateness_sheds_one_level_after_the_other_and_no_faster_than_it_can_show() -> None:
    seen = levels(LoadGovernor(), 0.5, 0, 10)
    rises = [number * TICK for number in range(1, len(seen)) if seen[number] != seen[number - 1]]
    assert seen[-1] == 4 and sorted(seen) == seen
    assert rises[0] < 1.0
    assert all(b - a >= GovernorSettings.settle_seconds - TICK for a, b in pairwise(rises))


def test_work_is_resumed_after_a_while_without_load() -> None:
    governor = LoadGovernor()
    levels(governor, 0.5, 0, 1.2)
    assert governor.plan.level == 2 or governor.plan.level == 3
    eased = levels(governor, 0.0, 1.2, 40)
    assert eased[-1] == 0
    assert sorted(eased, reverse=True) == eased


def test_a_machine_at_its_limit_does_not_swing() -> None:
    """Level 1 is easy and level 0 is too much: it is tried again, more and more seldom."""
    governor, changes, level = LoadGovernor(), [], 0
    for number in range(round(600 / TICK)):
        now = number * TICK
        new = governor.update(0.0 if level else 0.4, now)
        if new != level:
            changes.append(now)
        level = new
    assert len([moment for moment in changes if moment < 60]) <= 9
    assert len([moment for moment in changes if moment > 300]) <= 12


def test_a_step_that_was_too_much_is_reverted_before_it_shows() -> None:
    governor = LoadGovernor()
    levels(governor, 0.5, 0, 1.2)
    level = governor.plan.level
    eased = levels(governor, 0.0, 1.2, 12)
    assert eased[-1] < level
    begun = 1.2 + TICK * next(number for number, now in enumerate(eased) if now < level)
    governor = LoadGovernor()
    levels(governor, 0.5, 0, 1.2)
    levels(governor, 0.0, 1.2, begun - 1.2 + TICK)
    assert governor.plan.level == level - 1
    assert level in levels(governor, GovernorSettings.late_seconds * 0.7, begun + TICK, 1.5)


def test_the_latest_speakers_and_the_largest_faces_stay() -> None:
    faces = tuple(TrackedFace(number, Box(0, 0, 10 * number, 10), np.zeros((6, 2))) for number in range(1, 6))
    crops = tuple(np.full((2, 2), face.id, np.uint8) for face in faces)
    tracks = FrameTracks(7, 0.28, faces, crops)
    kept = ScoredFaces().select(tracks, 3, {1})
    assert [face.id for face in kept.faces] == [1, 4, 5]
    assert [int(crop[0, 0]) for crop in kept.crops] == [1, 4, 5]
    assert ScoredFaces().select(tracks, None, ()) is tracks
    assert ScoredFaces().select(tracks, 5, ()) is tracks
