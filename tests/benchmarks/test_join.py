"""Words under the right name: made-up words, and a composed session of drawn people."""

from __future__ import annotations

import pytest

from speakerlight.core.errors import InputError
from tests.benchmarks.join import BAR, measured, words_of
from tests.benchmarks.peers import demo_gallery


def test_words_fill_the_turns_of_those_who_speak_them() -> None:
    gallery = demo_gallery(0)
    words = words_of(gallery, 60.0)
    assert sum(word.end - word.start for word in words) > 0.7 * sum(turn.end - turn.start for turn in gallery.turns)
    assert len({word.text for word in words}) == len(words)
    assert {word.tile for word in words} == {turn.tile for turn in gallery.turns if turn.start < 60.0}


def test_words_of_the_demo_come_under_the_right_name() -> None:
    try:
        share, count = measured(demo_gallery(0), seconds=15.0)
    except InputError as error:
        pytest.skip(str(error))
    assert count > 15 and share >= BAR
