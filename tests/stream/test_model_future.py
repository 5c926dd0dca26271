"""Models load in the background, once; an error there is raised where the model is requested."""

from __future__ import annotations

import threading

import pytest

from speakerlight.model_future import LoadFuture


def test_a_future_begins_at_its_start_or_first_result() -> None:
    begun = threading.Event()

    def work() -> int:
        begun.set()
        return 7

    early = LoadFuture(work)
    early.begin()
    assert begun.wait(1.0) and early.result() == 7
    early.wait()
    assert LoadFuture(lambda: 8).result() == 8
    LoadFuture(lambda: 9).wait()  # never begun: nothing to wait for
    with pytest.raises(ZeroDivisionError):
        LoadFuture(lambda: 1 // 0).result()
