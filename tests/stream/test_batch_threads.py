"""A batch divided among the cores: the same results in the same order, whether or not a thread is free for a part."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from speakerlight.batch_threads import split_over_cores

WAIT_SECONDS = 10.0


@pytest.fixture
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speakerlight.batch_threads.usable_cores", lambda: 3)


def squares(rows: torch.Tensor) -> torch.Tensor:
    return rows.double() ** 2


@pytest.mark.usefixtures("three_cores")
@pytest.mark.parametrize("count", [1, 2, 3, 7, 25])
def test_rows_come_back_in_their_order(count: int) -> None:
    rows = torch.arange(2 * count).reshape(count, 2)
    assert torch.equal(split_over_cores(squares)(rows), squares(rows))


@pytest.mark.usefixtures("three_cores")
def test_the_parts_run_side_by_side() -> None:
    together = threading.Barrier(3)

    def waits_for_the_others(rows: torch.Tensor) -> torch.Tensor:
        together.wait(WAIT_SECONDS)
        return rows

    rows = torch.arange(6)
    assert torch.equal(split_over_cores(waits_for_the_others)(rows), rows)


def test_the_caller_takes_the_part_that_no_thread_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speakerlight.batch_threads.usable_cores", lambda: 2)
    begun, released = threading.Event(), threading.Event()

    def stalled_at_1(rows: torch.Tensor) -> torch.Tensor:
        if rows[0] == 1:
            begun.set()
            if not released.wait(WAIT_SECONDS):
                raise TimeoutError
        return rows

    compute = split_over_cores(stalled_at_1)
    with ThreadPoolExecutor(1) as other:
        stalled = other.submit(compute, torch.tensor([0, 1]))
        assert begun.wait(WAIT_SECONDS)
        assert compute(torch.tensor([2, 3])).tolist() == [2, 3]  # while the only thread is stalled
        released.set()
        assert stalled.result(WAIT_SECONDS).tolist() == [0, 1]


@pytest.mark.usefixtures("three_cores")
def test_what_goes_wrong_in_a_part_reaches_the_caller() -> None:
    def refuses_the_last(rows: torch.Tensor) -> torch.Tensor:
        if 5 in rows:
            raise ValueError("the last row")
        return rows

    with pytest.raises(ValueError, match="the last row"):
        split_over_cores(refuses_the_last)(torch.arange(6))


def test_on_one_core_nothing_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speakerlight.batch_threads.usable_cores", lambda: 1)
    assert split_over_cores(squares) is squares


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which cores a process may use")
def test_a_process_that_is_kept_to_one_core_has_one() -> None:
    lines = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    lines += "from speakerlight.batch_threads import usable_cores; assert usable_cores() == 1"
    subprocess.run([sys.executable, "-c", lines], check=True, cwd=Path(__file__).parents[2])
