"""Soak test: hours of synthetic media through the whole engine. Memory, threads, files and latency must stay flat.

The source restarts, drops frames and audio, loses and regains people, and its audio clock drifts; one output stalls.
Media runs at the speed the machine gives, and latency is the processor time of a tick; with ``--paced`` it runs in real
time, and latency is that from a frame's time to its snapshot. Exit status 1 when something grew.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic, process_time

import numpy as np

from speakerlight import Output, RunSettings, Snapshot
from speakerlight.core.demo import Judge
from speakerlight.core.events import Percentiles
from speakerlight.core.snapshot import SpeakingState
from speakerlight.engine_factory import open_engine
from speakerlight.fast import run_fast
from speakerlight.live import LiveRun, OverlayStatus
from speakerlight.memory_trim import memory_trimmed
from speakerlight.model_loading import load_models
from speakerlight.outputs.background import Background
from speakerlight.outputs.eventlog import EventLog
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.plot import Plot
from speakerlight.outputs.rttm import Rttm
from speakerlight.sources.pacing import PacedSource
from tests.benchmarks.engine import resident_bytes
from tests.benchmarks.synthetic import SCENES, SyntheticReader
from tests.tiles import tile_of

WINDOW_SECONDS = 600.0
"""The first window is warm-up, the second the reference: \"after ten minutes\". Shorter runs have six windows."""

FEWEST_WINDOWS = 6

TAIL_SECONDS = 0.8
"""How long a mark may outlast its turn, in seconds."""

WRONG_TICKS = 10
"""A wrong mark counts once it has lasted 0.4 s."""

STALL_EVERY_TICKS, STALL_SECONDS = 5000, 2.0

SAMPLE_TICKS = 250
"""Interval of memory samples, in ticks; a window keeps the median."""

MOST_MEMORY, MOST_LATENCY = 1.02, 1.05
"""Largest ratio of the last window to the reference window."""

MOST_RATE, SPARE_RATE = 1.5, 6.0
"""Ids and wrong marks an hour: the later half may have this ratio to the earlier half, and so many more."""


@dataclass(frozen=True)
class Window:
    """One part of a run. ``hours``: media time at its end; rates are per hour of media."""

    hours: float
    memory_mib: float
    threads: int
    files: int
    latency_ms: float
    new_ids: float
    appearances: float
    wrong_marks: float
    identity: float | None

    def __str__(self) -> str:
        identity = f"{self.identity:.3f}" if self.identity is not None else "-"
        return (
            f"{self.hours:6.2f} h  {self.memory_mib:7.1f} MiB  {self.threads:2} threads  {self.files:3} files  "
            f"{self.latency_ms:7.2f} ms  {self.new_ids:5.0f} ids/h of {self.appearances:4.0f} appearances/h  "
            f"{self.wrong_marks:5.1f} wrong marks/h  identity {identity}"
        )


class StallingOutput(Output):
    """An output that is stuck for two seconds now and then, as a slow disk or network is."""

    option = "stalling"

    def __init__(self) -> None:
        self._ticks = 0
        self.released = threading.Event()

    def snapshot(self, snapshot: Snapshot) -> None:
        self._ticks += 1
        if self._ticks % STALL_EVERY_TICKS == 0:
            self.released.wait(STALL_SECONDS)


class Monitor(Output):
    """Compares snapshots with the script and closes a window every ``window_seconds`` of media.

    ``now``: seconds since media time 0, of a paced run; None: at the speed the machine gives.
    """

    option = "monitor"

    def __init__(self, reader: SyntheticReader, window_seconds: float, now: Callable[[], float] | None) -> None:
        self._reader, self._seconds, self._now = reader, window_seconds, now
        self.windows: list[Window] = []
        self._newest_id = self._wrong_ticks = 0
        self._begin(0.0)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._judge.push(snapshot)
        self._ticks += 1
        if self._now is not None:
            self._latencies.append(1000 * (self._now() - snapshot.time))
        if self._ticks % SAMPLE_TICKS == 0:
            self._memory.append(resident_bytes(os.getpid()) / 2**20)
        new = [face.id for face in snapshot.faces if face.id > self._newest_id]
        self._new_ids += len(new)
        self._newest_id = max([self._newest_id, *new])
        self._count_wrong(snapshot)
        if snapshot.time >= self._start + self._seconds:
            self._close_window(snapshot.time)

    def _begin(self, start: float) -> None:
        self._start, self._processor_seconds = start, process_time()
        self._judge = Judge(self._reader.tiles, self._reader.turns)
        self._ticks = self._new_ids = self._wrong_marks = 0
        self._latencies: list[float] = []
        self._memory: list[float] = []

    def _count_wrong(self, snapshot: Snapshot) -> None:
        marked = snapshot.state is SpeakingState.SPEAKING
        centre = next((face.box.centre for face in snapshot.faces if face.id == snapshot.primary), None)
        right = {turn.tile for turn in self._reader.turns(snapshot.time - TAIL_SECONDS, snapshot.time + 1e-6)}
        is_wrong = marked and centre is not None and tile_of(self._reader.tiles, centre) not in right
        self._wrong_ticks = self._wrong_ticks + 1 if is_wrong else 0
        self._wrong_marks += self._wrong_ticks == WRONG_TICKS

    def _close_window(self, now: float) -> None:
        hours = (now - self._start) / 3600
        window = Window(
            hours=now / 3600,
            memory_mib=float(np.median(self._memory)) if self._memory else resident_bytes(os.getpid()) / 2**20,
            threads=threading.active_count(),
            files=len(list(Path("/proc/self/fd").iterdir())),
            latency_ms=self._latency_ms(),
            new_ids=self._new_ids / hours,
            appearances=self._reader.appearances(self._start, now) / hours,
            wrong_marks=self._wrong_marks / hours,
            identity=self._judge.verdict().identity,
        )
        self.windows.append(window)
        print(window, flush=True)
        self._begin(now)

    def _latency_ms(self) -> float:
        if self._now is not None:
            return float(np.percentile(self._latencies, 95))
        return 1000 * (process_time() - self._processor_seconds) / self._ticks


def soak(seconds: float, seed: int, paced: bool, scenes: int = SCENES) -> list[Window]:
    """Run ``seconds`` of media; its windows."""
    reader = SyntheticReader(seed, scenes)
    stalling, begun = StallingOutput(), monotonic()
    window_seconds = min(WINDOW_SECONDS, seconds / FEWEST_WINDOWS)
    with ExitStack() as cleanup:
        cleanup.enter_context(memory_trimmed())
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        models = load_models(RunSettings(video=reader.name, plot=folder / "soak.png"))
        engine = cleanup.enter_context(open_engine(RunSettings(), models, has_audio=True))
        monitor = Monitor(reader, window_seconds, (lambda: monotonic() - begun) if paced else None)
        outputs: list[Output] = [
            Background(stalling),
            EventLog(os.devnull),
            Rttm(folder / "soak.rttm", reader.name),
            Plot(folder / "soak.png"),
            monitor,
        ]
        hub = OutputHub(outputs, print)
        begun = monotonic()
        try:
            if paced:
                source = PacedSource(reader)
                LiveRun(
                    source,
                    engine,
                    hub,
                    composer=None,
                    status=OverlayStatus(),
                    window=None,
                    duration_seconds=seconds,
                    notify=print,
                ).run(threading.Event())
            else:
                run_fast(reader, engine, hub, seconds, threading.Event())
        finally:
            stalling.released.set()
            hub.close(Percentiles())
    return monitor.windows


def failures(windows: Sequence[Window]) -> list[str]:
    """Quantities that grew, one line each. The first window is warm-up."""
    reference, last = windows[1], windows[-1]
    found = []
    for name, most in (("memory_mib", MOST_MEMORY), ("latency_ms", MOST_LATENCY)):
        ratio = getattr(last, name) / getattr(reference, name)
        if ratio > most:
            found.append(f"{name}: {ratio:.3f} of what it was, at most {most}")
    more = {name: getattr(last, name) - getattr(reference, name) for name in ("threads", "files")}
    found += [f"{name}: {count} more" for name, count in more.items() if count > 0]
    middle = (len(windows) + 1) // 2
    for name in ("new_ids", "wrong_marks"):
        earlier, later = (np.mean([getattr(w, name) for w in part]) for part in (windows[1:middle], windows[middle:]))
        if later > MOST_RATE * earlier + SPARE_RATE:
            found.append(f"{name}: from {earlier:.1f} to {later:.1f} an hour")
    return found


def main(arguments: list[str]) -> int:
    """Print a line for each window and the verdict; status 1 when something grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks soak", description=__doc__)
    parser.add_argument("--hours", type=float, help="of media; default: 24, with --paced 1")
    parser.add_argument("--paced", action="store_true", help="in real time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    hours = given.hours or (1.0 if given.paced else 24.0)
    windows = soak(3600 * hours, given.seed, given.paced)
    if given.json:
        given.json.write_text(json.dumps([asdict(window) for window in windows], indent=1) + "\n")
    grown = failures(windows)
    for text in grown:
        print(text)
    print("grew" if grown else "flat")
    return int(bool(grown))
