"""Scene switching: a composed session in real time with ``--obs``, against the real OBS Studio under Xvfb.

For each session: how much of the turns, from one second after each begins, OBS shows the scene of who speaks; cuts per
turn; the shortest shot. Then OBS is killed in a session and started again. Sessions are galleries with their ground
truth beside them, as for ``peers``; the demo without any. With ``--decided``, a session is decided beforehand by
``--fast`` and played to OBS in real time, so that a busy machine does not shed what decides.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speakerlight import Output, RunSettings, Snapshot, run
from speakerlight.core.decision.director import PRESETS, Preset
from speakerlight.core.errors import InputError
from speakerlight.core.events import Event, LoadEvent
from speakerlight.core.media import AudioChunk
from speakerlight.core.timebase import TICK_RATE
from speakerlight.outputs.obs import Obs
from speakerlight.sources.source import due
from tests.benchmarks.peers import Gallery, SnapshotList, demo_gallery, read_gallery
from tests.stream.outputs.obs_studio import PASSWORD, ObsStudio, obs_studio

ON_AIR_FROM_SECONDS = 1.0
"""The scene of who speaks is due this long after a turn has begun."""

BARS = "right ≥ 0.9, cuts a turn ≤ 1.1, right again ≤ 5 s"
LEAST_RIGHT, MOST_CUTS, MOST_RESTART_SECONDS = 0.9, 1.1, 5.0

POLL_SECONDS = 0.02
MOST_PEOPLE = 9
ROOM = "Room"
SCENES = (*(f"Person {person}" for person in range(1, MOST_PEOPLE + 1)), ROOM)

DECISION_SECONDS = 0.25
"""After a frame its tick is decided in a live run that keeps up: look-ahead 0.2 s, and the work."""

KILLED_AFTER, STARTED_AFTER = 12.0, 16.0
"""Seconds of the session at which OBS is killed and started again."""


@dataclass(frozen=True)
class Switch:
    """OBS shows ``scene`` from ``time`` (seconds of the session) on; None: it does not answer."""

    time: float
    scene: str | None


class Recorder(Output):
    """Keeps snapshots and the load level, and finds the session's beginning on the monotonic clock."""

    option = "recorder"

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.began_at = math.inf
        self.worst_level = 0

    def audio(self, chunk: AudioChunk) -> None:
        self.began_at = min(self.began_at, time.monotonic() - due(chunk))

    def event(self, event: Event) -> None:
        if isinstance(event, LoadEvent):
            self.worst_level = max(self.worst_level, event.level)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


class Watcher:
    """Follows OBS's program scene in a thread. Times are monotonic until ``switches`` moves them to the session's."""

    def __init__(self, studio: ObsStudio) -> None:
        self._studio, self._over = studio, threading.Event()
        self._seen: list[Switch] = []
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def switches(self, began_at: float) -> list[Switch]:
        return [Switch(each.time - began_at, each.scene) for each in self._seen]

    def _watch(self) -> None:
        client: Any = None
        while not self._over.wait(POLL_SECONDS):
            try:
                client = client or self._studio.client()
                scene = str(client.send("GetCurrentProgramScene", raw=True)["currentProgramSceneName"])
            except Exception:  # the library lets many kinds through
                client, scene = None, None
            if not self._seen or scene != self._seen[-1].scene:
                self._seen.append(Switch(time.monotonic(), scene))


@dataclass(frozen=True)
class Result:
    """``right``: share of the turns' time in which their scene was on air, from ON_AIR_FROM_SECONDS on.

    ``shortest``: seconds of the shortest shot. ``restart``: seconds from OBS's first answer to the right scene.
    """

    right: float
    cuts: int
    turns: int
    shortest: float
    worst_level: int
    restart: float | None = None

    @property
    def cuts_a_turn(self) -> float:
        return self.cuts / max(self.turns, 1)

    def __str__(self) -> str:
        restart = "" if self.restart is None else f", right again {self.restart:.1f} s after the restart"
        return (
            f"right scene {self.right:.3f}, cuts a turn {self.cuts_a_turn:.2f} ({self.cuts} in {self.turns}),"
            f" shortest shot {self.shortest:.2f} s{restart}, worst load level {self.worst_level}"
        )


@dataclass(frozen=True)
class Playing:
    """How sessions are played. ``seconds``: of each; None: all. ``is_decided``: by ``--fast`` beforehand."""

    preset: Preset = Preset.NORMAL
    seconds: float | None = None
    is_decided: bool = False


def played(gallery: Gallery, studio: ObsStudio, playing: Playing, *, restarts: bool = False) -> Result:
    """Run a session with ``--obs`` and judge what was on air. ``restarts``: OBS, in between."""
    recorder, duration = Recorder(), playing.seconds or gallery.seconds
    decided = _decided(gallery, playing.preset, duration) if playing.is_decided else None
    with tempfile.TemporaryDirectory() as folder, Watcher(studio) as watcher, ExitStack() as stack:
        scenes = Path(folder) / "scenes.json"
        people = {str(person): f"Person {person}" for person in range(1, MOST_PEOPLE + 1)}
        scenes.write_text(json.dumps({"people": people, "wide": ROOM, "password": PASSWORD}))
        if restarts:
            killer = threading.Thread(target=_restart, args=(studio, recorder))
            killer.start()
            stack.callback(killer.join)
        if decided is not None:
            _play(decided, Obs(studio.address, scenes), recorder)
        else:
            settings = RunSettings(
                video=gallery.video,
                window=False,
                duration_seconds=duration,
                obs=studio.address,
                obs_scenes=scenes,
                director=playing.preset,
            )
            run(settings, [recorder])
    return judged(gallery, recorder, watcher.switches(recorder.began_at))


def _decided(gallery: Gallery, preset: Preset, duration: float | None) -> Sequence[Snapshot]:
    kept = SnapshotList()
    settings = RunSettings(video=gallery.video, fast=True, window=False, duration_seconds=duration, director=preset)
    run(settings, [kept])
    return kept.snapshots


def _play(snapshots: Sequence[Snapshot], obs: Obs, recorder: Recorder) -> None:
    """Feed OBS in real time."""
    recorder.began_at = time.monotonic()
    for snapshot in snapshots:
        time.sleep(max(recorder.began_at + snapshot.time + DECISION_SECONDS - time.monotonic(), 0.0))
        obs.snapshot(snapshot)
        recorder.snapshot(snapshot)
    obs.close()


def _restart(studio: ObsStudio, recorder: Recorder) -> None:
    def wait_for(moment: float) -> None:
        while time.monotonic() - recorder.began_at < moment:
            time.sleep(POLL_SECONDS)

    wait_for(KILLED_AFTER)
    studio.stop()
    wait_for(STARTED_AFTER)
    studio.start()


def judged(gallery: Gallery, recorder: Recorder, switches: Sequence[Switch]) -> Result:
    """The result of a session from its snapshots and the scenes on air."""
    end = recorder.snapshots[-1].time
    turns = [turn for turn in gallery.turns if turn.start < end and turn.tile is not None]
    snapshots = {each.tick: each for each in recorder.snapshots}
    scene_at = _lookup(switches)

    def is_right(tick: int, tile: int) -> bool | None:
        """None where nobody's face is known, or OBS does not answer."""
        snapshot, scene = snapshots.get(tick), scene_at(tick / TICK_RATE)
        if snapshot is None or scene is None:
            return None
        ids = [face.id for face in snapshot.faces if gallery.tiles[tile].contains(face.box.centre)]
        return scene in {f"Person {person}" for person in ids} if ids else None

    verdicts = [
        is_right(tick, turn.tile or 0)
        for turn in turns
        for tick in range(
            math.ceil((turn.start + ON_AIR_FROM_SECONDS) * TICK_RATE), math.floor(min(turn.end, end) * TICK_RATE)
        )
    ]
    known = [verdict for verdict in verdicts if verdict is not None]
    first = min((turn.start for turn in turns), default=0.0)
    cuts = [switch.time for switch in switches if first < switch.time <= end and switch.scene is not None]
    answers = [after.time for before, after in pairwise(switches) if before.scene is None and after.scene is not None]
    restart = next((_seconds_until_right(answer, turns, is_right, end) for answer in answers if answer > 0), None)
    return Result(
        float(np.mean(known)) if known else math.nan,
        len(cuts),
        len(turns),
        min((after - before for before, after in pairwise(cuts)), default=math.inf),
        recorder.worst_level,
        restart,
    )


def _seconds_until_right(
    answer: float, turns: Sequence[Any], is_right: Callable[[int, int], bool | None], end: float
) -> float:
    """From OBS's first answer to the first right scene during a turn; what is not due yet does not count."""
    for tick in range(math.ceil(answer * TICK_RATE), math.floor(end * TICK_RATE)):
        moment = tick / TICK_RATE
        turn = next((each for each in turns if each.start <= moment < each.end), None)
        if turn is not None and is_right(tick, turn.tile):
            return moment - answer
    return math.inf


def _lookup(switches: Sequence[Switch]) -> Callable[[float], str | None]:
    times = [switch.time for switch in switches]

    def scene_at(moment: float) -> str | None:
        index = int(np.searchsorted(times, moment, side="right")) - 1
        return switches[index].scene if index >= 0 else None

    return scene_at


def main(arguments: list[str]) -> int:
    """Print a line a session; status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks obs", description=__doc__)
    parser.add_argument("galleries", nargs="*", type=Path, metavar="GALLERY.mp4")
    parser.add_argument("--director", choices=[preset.value for preset in Preset], default=Preset.NORMAL.value)
    parser.add_argument("--seconds", type=float, help="of each session; default: all of it")
    parser.add_argument("--decided", action="store_true", help="decide each session beforehand: for a busy machine")
    given = parser.parse_args(arguments)
    playing = Playing(Preset(given.director), given.seconds, given.decided)
    sessions = [read_gallery(path) for path in given.galleries] or [demo_gallery(0)]
    try:
        results = _measured(sessions, playing)
    except pytest.skip.Exception as missing:
        raise InputError(f"obs: {missing}") from None
    mean_right = float(np.mean([result.right for result in results]))
    cuts = sum(result.cuts for result in results) / max(sum(result.turns for result in results), 1)
    print(f"all: right scene {mean_right:.3f}, cuts a turn {cuts:.2f}; bars: {BARS}")
    is_met = mean_right >= LEAST_RIGHT and cuts <= MOST_CUTS
    shortest = PRESETS[playing.preset].shortest_seconds - 2 * POLL_SECONDS - 1 / TICK_RATE
    return 0 if is_met and all(result.shortest >= shortest for result in results) else 1


def _measured(sessions: Sequence[Gallery], playing: Playing) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory() as folder, obs_studio(Path(folder), SCENES) as studio:
        for gallery in sessions:
            results.append(played(gallery, studio, playing))
            print(f"{gallery.name}: {results[-1]}", flush=True)
        restarted = played(sessions[0], studio, playing, restarts=True)
        print(f"{sessions[0].name}, OBS killed and started again: {restarted}", flush=True)
        if restarted.restart is None or restarted.restart > MOST_RESTART_SECONDS:
            raise InputError("obs: the scenes were not right again in time")
    return results
