"""Timing on a busy machine: compared cases alternate within one run; medians with their spread."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

WARM_UP_ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """A timed case. ``threads``: of PyTorch while it runs; ``before``: its preparation each time, not timed."""

    call: Callable[[], object]
    threads: int = 1
    before: Callable[[], object] | None = None


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, and their 10th and 90th percentile."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of the table. ``ratio``: baseline / ours, or another quantity that is judged, as ``unit`` says."""

    section: str
    measure: str
    model: str
    faces: int
    value: Spread
    unit: str
    baseline: Spread | None = None
    ratio: Spread | None = None
    note: str = ""


def take_turns(cases: Mapping[str, Case], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each case in each of ``rounds``, one call a round; who begins changes from round to round."""
    names = list(cases)
    times: dict[str, list[float]] = {name: [] for name in names}
    for index in range(-WARM_UP_ROUNDS, rounds):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            torch.set_num_threads(cases[name].threads)
            if (before := cases[name].before) is not None:
                before()
            start = perf_counter()
            cases[name].call()
            if index >= 0:
                times[name].append(1000 * (perf_counter() - start))
    return times


def spread(values: list[float]) -> Spread:
    low, median, high = np.percentile(values, (10, 50, 90)).tolist()
    return Spread(median, low, high)


def exactly(value: float) -> Spread:
    """A value that was measured once."""
    return Spread(value, value, value)


def against(ours: list[float], baseline: list[float]) -> Spread:
    """Baseline / ours, round by round."""
    return spread([b / o for o, b in zip(ours, baseline, strict=True)])


def header() -> str:
    columns = f"{'section':9} {'measure':26} {'model':8} {'faces':>5} {'median':>9} {'p10 … p90':>17} {'unit':9}"
    return f"{columns} {'baseline':>9} {'ratio':>7}"


def line(row: Row) -> str:
    """The row as a line of the table."""
    value = row.value
    between = f"{_short(value.low)} … {_short(value.high)}" if value.low != value.high else ""
    faces = str(row.faces) if row.faces else ""
    text = f"{row.section:9} {row.measure:26} {row.model:8} {faces:>5} {_short(value.median):>9} {between:>17}"
    baseline = _short(row.baseline.median) if row.baseline else ""
    ratio = f"{row.ratio.median:.1f}×" if row.ratio else ""
    return f"{text} {row.unit:9} {baseline:>9} {ratio:>7}  {row.note}".rstrip()


def write_json(path: Path, rows: list[Row]) -> None:
    """Rows as JSON, with the machine they were measured on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    machine = {
        "system": platform.platform(),
        "processor": torch.cpu.get_capabilities().get("cpu_name", platform.processor()),
        "cores": os.cpu_count(),
        "load": load,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    path.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
