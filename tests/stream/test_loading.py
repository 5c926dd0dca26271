"""Models load in the background, once, and what goes wrong there is told where they are asked for."""

from __future__ import annotations

import threading

import pytest

from stream.loading import Later


def test_later_begins_when_it_is_asked_or_told_to() -> None:
    begun = threading.Event()
    early = Later(lambda: begun.set() or 7)
    early.begin()
    assert begun.wait(1.0) and early.result() == 7
    early.wait()
    assert Later(lambda: 8).result() == 8
    Later(lambda: 9).wait()  # never begun: nothing to wait for
    with pytest.raises(ZeroDivisionError):
        Later(lambda: 1 // 0).result()
