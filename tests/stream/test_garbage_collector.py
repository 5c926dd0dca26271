"""The garbage collector is off while models load; what they made is never collected."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from speakerlight.garbage_collector import collector_off


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_nothing_is_collected_inside_and_what_was_made_never() -> None:
    before = gc.get_freeze_count()
    with collector_off():
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() > before


def test_what_goes_wrong_leaves_the_collector_on() -> None:
    with pytest.raises(ZeroDivisionError), collector_off():
        _ = 1 // 0
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_off():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
