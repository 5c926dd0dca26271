"""Talk statistics: time, turns, longest turn, interruptions."""

from __future__ import annotations

import pytest

from speakerlight.core.segments import Segment
from speakerlight.core.talk import LEAST_OVERLAP_SECONDS, Talk, talk_of

SPEECH = Segment(1, 0.0, 10.0)


def test_time_turns_and_the_longest_of_each_person() -> None:
    talk = talk_of([Segment(2, 0.0, 1.0), Segment(1, 1.0, 3.5), Segment(2, 4.0, 7.0)])
    assert talk == {2: Talk(4.0, 2, 3.0, 0), 1: Talk(2.5, 1, 2.5, 0)} and list(talk) == [2, 1]


@pytest.mark.parametrize(
    ("other", "count"),
    [
        (Segment(2, 8.0, 12.0), 1),
        (Segment(2, 8.0, 9.0), 0),  # an interjection does not take the floor
        (Segment(2, 10.0 - LEAST_OVERLAP_SECONDS + 0.05, 12.0), 0),  # the mark of the turn before outlasts it
        (Segment(2, 10.5, 12.0), 0),
        (Segment(1, 8.0, 12.0), 0),
        (Segment(2, 0.0, 12.0), 0),  # both began at once
    ],
    ids=str,
)
def test_an_interruption_takes_the_floor(other: Segment, count: int) -> None:
    assert talk_of([other, SPEECH])[other.id].interruptions == count
    assert sum(each.interruptions for each in talk_of([other, SPEECH]).values()) == count


def test_taking_the_floor_from_two_is_one_interruption() -> None:
    assert talk_of([SPEECH, Segment(3, 2.0, 9.0), Segment(2, 8.0, 12.0)])[2].interruptions == 1
