from __future__ import annotations

import pytest

from core.errors import InputError
from stream.sources.demo import DemoSettings, parse_demo


def test_people_and_seed_are_read_in_any_order() -> None:
    assert parse_demo("demo") == DemoSettings(people=3, seed=0)
    assert parse_demo("demo:seed=7,people=25") == DemoSettings(people=25, seed=7)


@pytest.mark.parametrize("spec", ["demo:", "demo:people", "demo:people=x", "demo:seed=1,seed=2", "demo:cats=3"])
def test_what_cannot_be_read_shows_how_to_write_it(spec: str) -> None:
    with pytest.raises(InputError, match="demo:people=N,seed=K"):
        parse_demo(spec)


@pytest.mark.parametrize("people", [0, 26])
def test_the_number_of_people_is_bounded(people: int) -> None:
    with pytest.raises(InputError, match="1 to 25"):
        parse_demo(f"demo:people={people}")
