"""Whole runs from the command line: real time, latency, growth, cores, memory, start-up, speed on files.

Each runs ``run_live.py`` in a process of its own and reads its events as they come. Processor time and memory are read
from /proc (Linux).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from tests.benchmarks.first_overlay import MARK
from tests.benchmarks.measure import Row, Spread, exactly, spread
from tests.benchmarks.scene import write_clip, write_expert

ROOT = Path(__file__).parents[2]
CLIP_SECONDS = 60.0


@dataclass
class Run:
    """Measurements of one run from outside. Times are seconds since its launch."""

    seconds: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    """Arrival of each ``scores`` event …"""
    moments: list[float] = field(default_factory=list)
    """… and its media time."""
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Resident bytes, about once a second."""
    cpu: list[tuple[float, float]] = field(default_factory=list)
    """Processor seconds used so far, about once a second."""
    worst_level: int = 0
    dropped_frames: int = 0
    latency_ms: dict[str, float | None] = field(default_factory=dict)
    ticks: int = 0


class RunFailedError(Exception):
    """A run failed; the message is its last line."""


def watch(arguments: list[str], prefix: tuple[str, ...] = ()) -> Run:
    """Run the command line to its end."""
    command = [*prefix, sys.executable, "run_live.py", "--no-window", "--events", "-", *arguments]
    run, start = Run(), monotonic()
    with tempfile.TemporaryFile("w+") as lines:
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=lines, text=True) as process:
            assert process.stdout is not None
            for text in process.stdout:
                _note(run, json.loads(text), monotonic() - start, process.pid)
        run.seconds = monotonic() - start
        lines.seek(0)
        printed = lines.read()
    if process.returncode:
        raise RunFailedError(f"{' '.join(command)}: {printed.strip().rpartition(chr(10))[2]}")
    found = re.search(r"^(\d+) frames dropped", printed, re.MULTILINE)
    run.dropped_frames = int(found[1]) if found else 0
    return run


def _note(run: Run, event: dict[str, object], now: float, process: int) -> None:
    if event["type"] == "scores":
        run.arrivals.append(now)
        run.moments.append(float(str(event["time"])))
        if not run.memory or now - run.memory[-1][0] >= 1:
            run.memory.append((now, resident_bytes(process)))
            run.cpu.append((now, cpu_seconds(process)))
    elif event["type"] == "load":
        run.worst_level = max(run.worst_level, int(str(event["level"])))
    elif event["type"] == "summary":
        run.ticks = int(str(event["ticks"]))
        latency = event["latency_ms"]
        assert isinstance(latency, dict)
        run.latency_ms = latency


def resident_bytes(process: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(process: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def realtime(people: int, model: list[str], seconds: float) -> Row:
    """Whether ``people`` of the demo are scored in real time; the demo's painting is part of the load."""
    run = watch([*_demo(people, seconds), *model])
    note = f"{run.dropped_frames} frames dropped, load level {run.worst_level}, {_latency(run)}"
    shown = run.moments[-1] - run.moments[0] + 0.04
    return _row("realtime", "ticks scored a second", people, exactly(len(run.moments) / shown), "ticks/s", model, note)


def latency(people: int, model: list[str], seconds: float) -> Row:
    """Capture to overlay."""
    run = watch([*_demo(people, seconds), *model])
    return _row("latency", "capture to overlay, p95", people, _p95(run), "ms", model, _latency(run))


def one_core(people: int, model: list[str], seconds: float) -> Row:
    """The same on one core. Growth: how much later scores come in the last third than in the middle one."""
    run = watch([*_demo(people, seconds), *model], ("taskset", "-c", "0"))
    behind = np.array(run.arrivals) - np.array(run.moments)
    third = len(behind) // 3
    growth = 1000 * float(np.median(behind[-third:]) - np.median(behind[third:-third]))
    note = f"growth {growth:+.0f} ms in {seconds / 3:.0f} s, load level {run.worst_level}, {_latency(run)}"
    return _row("onecore", "capture to overlay, p95", people, _p95(run), "ms", model, note)


def cores(people: int, model: list[str], seconds: float) -> Row:
    """Processor time a second once it runs, on a file at 30 a second, whose decoding stands in for a camera's."""
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder), people, min(seconds, CLIP_SECONDS), 30)
        run = watch(["--video", str(clip), *model])
    (first, used_first), (last, used_last) = run.cpu[0], run.cpu[-1]
    value = (used_last - used_first) / (last - first)
    return _row("cores", "cores used, 1280×720 at 30", people, exactly(value), "cores", model)


def memory(people: int, model: list[str], seconds: float) -> Row:
    """Resident memory late in a run over early in it: the last minute over the second one, or parts in proportion."""
    run = watch([*_demo(people, seconds), *model])
    times, sizes = np.array(run.memory).T
    part = min(60.0, seconds / 5)
    early = sizes[(times >= times[0] + part) & (times < times[0] + 2 * part)].mean()
    late = sizes[times >= times[-1] - part].mean()
    note = f"{late / 2**20:.0f} MiB after {seconds:.0f} s"
    return _row("memory", "resident, late / early", people, exactly(float(late / early)), "ratio", model, note)


def startup(people: int, model: list[str], launches: int) -> Row:
    """From launch to the first frame with the overlay on it."""
    first = [first_overlay_seconds([*_demo(people, CLIP_SECONDS), *model]) for _ in range(launches)]
    return _row("startup", "launch to first overlay", people, spread(first), "s", model)


def first_overlay_seconds(arguments: list[str]) -> float:
    """How long after its launch a live run has drawn its first overlay; the run ends with it."""
    command = [sys.executable, "-m", "tests.benchmarks.first_overlay", "--no-window", *arguments]
    start, text = monotonic(), ""
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for text in process.stderr:
            if text.startswith(MARK):
                process.kill()
                return float(text.removeprefix(MARK)) - start
    raise RunFailedError(f"{' '.join(command)}: {text.strip()}")


def fast(people: int, model: list[str], seconds: float) -> Row:
    """Speed on a file relative to real time, without start-up and with it."""
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder), people, seconds, 25)
        run = watch(["--video", str(clip), "--fast", *model])
    value = (run.moments[-1] - run.moments[0]) / (run.arrivals[-1] - run.arrivals[0])
    note = f"{seconds / run.seconds:.1f} × with start-up"
    return _row("fast", "times real time, 1280×720", people, exactly(value), "×", model, note)


@dataclass(frozen=True)
class Section:
    """A measure, and for each model the numbers of faces it is judged with."""

    measure: Callable[[int, list[str], float], Row]
    faces: tuple[int, ...]
    expert_faces: tuple[int, ...] = (4,)


SECTIONS: dict[str, Section] = {
    "realtime": Section(realtime, (16, 25), (4, 8)),
    "latency": Section(latency, (4,)),
    "onecore": Section(one_core, (25,)),
    "cores": Section(cores, (2,)),
    "memory": Section(memory, (9,)),
    "startup": Section(lambda people, model, seconds: startup(people, model, 3), (1,)),
    "fast": Section(fast, (3,)),
}


def whole_engine(section: str, model: str, faces: tuple[int, ...], seconds: float) -> list[Row]:
    """The rows of one section."""
    chosen = SECTIONS[section]
    judged = chosen.faces if model == "compact" else chosen.expert_faces
    with tempfile.TemporaryDirectory() as folder:
        given = [] if model == "compact" else ["--model", str(write_expert(Path(folder)))]
        return [chosen.measure(people, given, seconds) for people in faces or judged]


def _demo(people: int, seconds: float) -> list[str]:
    return ["--video", f"demo:people={people}", "--duration", str(seconds)]


def _p95(run: Run) -> Spread:
    return exactly(run.latency_ms["p95"] or float("nan"))


def _latency(run: Run) -> str:
    parts = (f"{name} {value:.0f}" for name, value in run.latency_ms.items() if value is not None)
    return "latency ms " + ", ".join(parts)


def _row(section: str, measure: str, people: int, value: Spread, unit: str, model: list[str], note: str = "") -> Row:
    return Row(section, measure, "expert" if model else "compact", people, value, unit, note=note)
