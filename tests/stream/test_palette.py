"""One colour for each person."""

from __future__ import annotations

import itertools

from speakerlight.palette import PALETTE, colour, is_light


def test_a_person_keeps_its_colour_and_neighbours_differ() -> None:
    assert colour(1) == colour(1)
    assert len({colour(person) for person in range(1, 13)}) == 12
    for one, other in itertools.combinations(PALETTE, 2):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) >= 60


def test_after_twelve_people_colours_come_round_again() -> None:
    assert colour(13) == colour(1)


def test_text_on_a_colour_is_black_where_the_colour_is_light() -> None:
    assert is_light((240, 228, 66))
    assert not is_light((190, 55, 100))
