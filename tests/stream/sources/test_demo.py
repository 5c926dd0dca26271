from __future__ import annotations

from itertools import islice

import pytest

from speakerlight.core.demo import DemoSettings
from speakerlight.core.errors import InputError
from speakerlight.core.media import Frame
from speakerlight.sources.demo import DemoReader, parse_demo
from speakerlight.sources.source import due


def test_people_and_seed_are_read_in_any_order() -> None:
    assert parse_demo("demo") == DemoSettings(seconds=None)
    assert parse_demo("demo:seed=7,people=25") == DemoSettings(people=25, seed=7, seconds=None)


@pytest.mark.parametrize("spec", ["demo:", "demo:people", "demo:people=x", "demo:seed=1,seed=2", "demo:cats=3"])
def test_what_cannot_be_read_shows_how_to_write_it(spec: str) -> None:
    with pytest.raises(InputError, match="demo:people=N,seed=K"):
        parse_demo(spec)


@pytest.mark.parametrize("people", [0, 26])
def test_the_number_of_people_is_bounded(people: int) -> None:
    with pytest.raises(InputError, match="1 to 25"):
        parse_demo(f"demo:people={people}")


def test_it_reads_like_a_recording_in_time_order() -> None:
    reader = DemoReader("demo:people=2,seed=3")
    items = list(islice(reader, 40))
    assert [due(item) for item in items] == sorted(due(item) for item in items)
    frames = [item.image for item in items if isinstance(item, Frame)]
    assert len(frames) >= 15
    assert {frame.shape for frame in frames} == {(reader.frame_size[1], reader.frame_size[0], 3)}
