"""Who comes back is the same person; a stranger is nobody known. Real people; skips where there are no clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.recognition import ENDS, LEAVES, RETURNS, SEAT, Visit, in_other_light, session, trial, visits

CLIPS = Path(__file__).resolve().parents[3] / "shared/data/dev/people"


def visit(grey: int) -> Visit:
    return Visit([np.full((SEAT, SEAT, 3), grey, np.uint8)] * 3, np.full(16_000, grey / 255, np.float32))


def test_a_newcomer_sits_in_the_third_seat_after_ten_seconds_without_the_first() -> None:
    seats = {0: (0, LEAVES), 2: (RETURNS, ENDS)}
    for time, frame, samples in session(visit(10), visit(50), visit(200), gamma=1.0):
        for seat, (first, last) in seats.items():
            assert (frame[180, SEAT * seat + 180, 0] != 90) == (first <= time < last)
        assert samples[0] == pytest.approx((200 if time >= RETURNS else 10 if time < LEAVES / 2 else 50) / 255)


def test_other_light_keeps_black_and_white() -> None:
    grey = np.array([[[0, 128, 255]]], np.uint8)
    assert in_other_light(grey, 0.6)[0, 0, 1] > 140 and in_other_light(grey, 1.6)[0, 0, 1] < 100
    assert in_other_light(grey, 1.6)[0, 0, [0, 2]].tolist() == [0, 255]


def test_a_person_comes_back_and_a_stranger_does_not() -> None:
    if not CLIPS.is_dir():
        pytest.skip("no clips of real people beside the project")
    found = (both for path in sorted(CLIPS.glob("*.mp4")) if (both := visits(path)) is not None)
    first, other = next(found), next(found)
    assert trial(first[0], other[0], first[1], gamma=1.5).after_merges > 0.9
