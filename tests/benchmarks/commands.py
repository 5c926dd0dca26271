"""Command latency of each interface: until acknowledged, visible to a second client, and in force.

Every command of the schema goes to a room of a real server by the page's data channel, the WebSocket ``/control`` or
HTTP, or comes from keys of the window to this machine's own run. A second client listens on ``/events``. In force is a
command with the first snapshot or frame that follows it. What is typed counts from the last key. The engine is a
stand-in: what it decides takes no time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast
from unittest import mock

import aiohttp
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from speakerlight.composer import ViewComposer
from speakerlight.control import Control
from speakerlight.core.decision.director import DirectorSettings
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.framing import View
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image
from speakerlight.core.shot import close_up
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.engine import Engine
from speakerlight.live import LiveRun, OverlayStatus
from speakerlight.outputs.hub import OutputHub
from speakerlight.server import room
from speakerlight.server.listening_socket import listening
from speakerlight.server.room import Engines
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.server.server import Server
from speakerlight.server.view_broadcast import ViewBroadcast
from speakerlight.steered_scorer import SteeredScorer
from speakerlight.window import KeyPress, Window, key_press
from tests.stream.server.browser import Browser
from tests.stream.standin import StandInScorer, stand_in
from tests.stream.test_live import Camera, StandInWindow

BAR_MS = 100.0
LIMIT_SECONDS = 10.0

WINDOW_KEY = "window key"
WAYS = ("data channel", "/control", "HTTP", WINDOW_KEY)

Event = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What a run gave at a time: a snapshot and the primary speaker before it, or a composed frame."""

    snapshot: Snapshot | None = None
    primary_before: int | None = None
    is_split: bool | None = None
    is_recording: bool | None = None

    def faces(self) -> dict[int, bool]:
        """Whether each person in view is marked; empty for a frame."""
        return {face.id: face.speaking for face in self.snapshot.faces} if self.snapshot else {}


@dataclass(frozen=True)
class Step:
    """A command, the keys that give it in a window, and what shows that it is in force."""

    command: Event
    keys: str
    is_in_force: Callable[[Seen], bool]

    @property
    def name(self) -> str:
        value = next((value for key, value in self.command.items() if key not in ("type", "id")), None)
        return f"{self.command['type']}{'' if value is None else f' {value}'}"

    def is_given_by(self, command: Event) -> bool:
        """Whether ``command`` is this one; a window ignores the place of a face, wherever it is."""
        is_place = self.command["type"] == "ignore" and self.command["region"] is not None
        return command == self.command or (is_place and command["type"] == "ignore" and command["region"] is not None)


def _snapshot(check: Callable[[Snapshot], bool]) -> Callable[[Seen], bool]:
    return lambda seen: seen.snapshot is not None and check(seen.snapshot)


STEPS = (
    Step({"type": "name", "id": 1, "name": "Ada"}, "1nAda\r", _snapshot(lambda each: each.names.get(1) == "Ada")),
    Step({"type": "exclude", "id": 1, "on": True}, "e", lambda seen: seen.faces().get(1) is False),
    Step({"type": "exclude", "id": 1, "on": False}, "e", lambda seen: seen.faces().get(1) is True),
    Step({"type": "sensitivity", "score": 0.1}, "+", lambda seen: seen.faces().get(2) is False),
    Step({"type": "sensitivity", "score": 0.0}, "-", lambda seen: seen.faces().get(2) is True),
    Step(
        {"type": "hold", "seconds": None},
        " ",
        lambda seen: seen.snapshot is not None and seen.snapshot.primary == seen.primary_before,
    ),
    Step(
        {"type": "release"},
        " ",
        lambda seen: seen.snapshot is not None and seen.snapshot.primary != seen.primary_before,
    ),
    Step({"type": "lag", "milliseconds": 20.0}, ".", _snapshot(lambda each: each.lag.milliseconds == 20.0)),
    Step({"type": "lag", "milliseconds": None}, "0", _snapshot(lambda each: each.lag.milliseconds == 0.0)),
    Step({"type": "view", "view": "split"}, "vv", lambda seen: seen.is_split is True),
    Step({"type": "view", "view": "boxes"}, "v", lambda seen: seen.is_split is False),
    # Rooms record nothing: there the command is only remembered.
    Step({"type": "record", "on": False}, "r", lambda seen: seen.is_recording is not True),
    Step({"type": "record", "on": True}, "r", lambda seen: seen.is_recording is not False),
    Step({"type": "pin", "id": 1}, "p", _snapshot(lambda each: each.direction.shot == close_up(1))),
    Step({"type": "pin", "id": None}, "p", _snapshot(lambda each: True)),
    Step({"type": "ignore", "region": [0, 0, 300, 30]}, "i", lambda seen: list(seen.faces()) == [2]),
    Step({"type": "ignore", "region": None}, "i", lambda seen: 1 in seen.faces()),
    Step({"type": "reset"}, "x", _snapshot(lambda each: not each.names)),
)


@dataclass(frozen=True)
class Delays:
    """Milliseconds from a command until it is acknowledged, visible to another client, and in force."""

    acknowledged: float
    seen: float
    in_force: float


T = TypeVar("T")


class Log(Generic[T]):
    """Values with their times of arrival, from any thread."""

    def __init__(self) -> None:
        self._received: deque[tuple[float, T]] = deque(maxlen=2000)

    def take(self, value: T) -> None:
        self._received.append((time.monotonic(), value))

    async def time_of(self, wanted: Callable[[T], bool], since: float) -> float:
        """Monotonic time at which the first matching value after ``since`` arrived."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                for moment, value in tuple(self._received):
                    if moment >= since and wanted(value):
                        return moment
                await asyncio.sleep(0.001)


@dataclass
class Run:
    """What is seen of one run: its snapshots and frames; the lag that its scorer was set to."""

    seen: Log[Seen] = field(default_factory=Log)
    primary: int | None = None

    def snapshots(self, made: Sequence[Snapshot]) -> None:
        for each in made:
            self.seen.take(Seen(each, self.primary))
            self.primary = each.primary

    def frame(self, image: Image, is_recording: bool | None = None) -> None:
        blue, _, red = (int(value) for value in image[0, -1])
        self.seen.take(Seen(is_split=blue - red > COLOUR, is_recording=is_recording))


COLOUR = 3
"""Frames are grey; the ground that tiles lie on is bluish by more than this."""


@dataclass(frozen=True)
class WayIn:
    """``give`` gives a step's command and waits for its acknowledgement; it returns the monotonic time at which the
    command, or its last key, was given. ``client``: the events of another client."""

    client: Log[Event]
    run: Run
    give: Callable[[Step], Awaitable[float]]


class _Scorer(StandInScorer):
    """Persons 1 and 2 are marked, and are the primary speaker in turns. Its lag is the one that was set."""

    _lag_ms = 0.0
    _made = 0

    def set_lag(self, lag_ms: float | None) -> None:
        self._lag_ms = lag_ms or 0.0

    def _snapshot(self, tracks: FrameTracks) -> Snapshot:
        made = super()._snapshot(tracks)
        self._made += 1
        faces = (*(replace(face, score=1.0, speaking=True) for face in made.faces), FaceScore(2, OTHER, 0.05, True))
        primary = 1 + self._made % 2
        return replace(made, faces=faces, state=SpeakingState.SPEAKING, primary=primary, lag=Lag(self._lag_ms, 1.0))


OTHER = Box(30, 30, 10, 10)


class _WatchedScorer(SteeredScorer):
    def __init__(self, scorer: _Scorer, control: Control, run: Run) -> None:
        super().__init__(scorer, control, DirectorSettings())
        self._run = run

    def advance(self, stride: int = 1) -> list[Snapshot]:
        made = super().advance(stride)
        self._run.snapshots(made)
        return made


def steered(has_audio: bool, control: Control, run: Run) -> Engine:
    """A stand-in engine that follows ``control``."""
    return replace(stand_in(has_audio), scorer=_WatchedScorer(_Scorer(has_audio), control, run), control=control)


async def measured(way: str, count: int) -> list[tuple[Step, Delays]]:
    """Delays of every command, given ``count`` times through ``way``."""
    async with _window() if way == WINDOW_KEY else _room(way) as opened:
        delays = []
        for number in range(count):
            for step in STEPS:
                # Commands come anywhere between two ticks.
                await asyncio.sleep(0.15 + 0.04 * number / count)
                delays.append((step, await _delays(opened, step)))
    return delays


async def _delays(way: WayIn, step: Step) -> Delays:
    def is_seen(event: Event) -> bool:
        return bool(event["type"] == "control" and step.is_given_by(event["command"]))

    try:
        given = await way.give(step)
        acknowledged = time.monotonic()
        seen = await way.client.time_of(is_seen, given)
        in_force = await way.run.seen.time_of(step.is_in_force, given)
    except TimeoutError:
        raise AssertionError(f"{step.name} is not acknowledged, seen or in force") from None
    return Delays(*(1000 * (moment - given) for moment in (acknowledged, seen, in_force)))


@contextmanager
def _server(run: Run, local: Control | None = None) -> Iterator[Server]:
    @contextmanager
    def engine(has_audio: bool, control: Control) -> Iterator[Engine]:
        yield steered(has_audio, control, run)

    engines = Engines(engine, "stand-in", "cpu")
    settings = ServeSettings(host="127.0.0.1", port=0)
    with listening(settings) as address, Server(address, engines, _fail, local=local) as server:
        yield server


def _fail(line: str) -> None:
    raise AssertionError(line)


@asynccontextmanager
async def _watched(url: str) -> AsyncIterator[Log[Event]]:
    client = Log[Event]()
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        task = asyncio.create_task(_listen(socket, client))
        try:
            await client.time_of(lambda event: event["type"] == "person", 0.0)
            yield client
        finally:
            task.cancel()


async def _listen(socket: aiohttp.ClientWebSocketResponse, log: Log[Event]) -> None:
    async for message in socket:
        log.take(json.loads(message.data))


class _Screen:
    """A viewer's track."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def feed(self, frame: VideoFrame | AudioFrame, /) -> None:
        if isinstance(frame, VideoFrame):
            self._run.frame(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))

    def finish(self) -> None: ...


@asynccontextmanager
async def _room(way: str) -> AsyncIterator[WayIn]:
    run, views = Run(), list[ViewBroadcast]()

    def watched_view(*given: Any, **named: Any) -> ViewBroadcast:
        views.append(ViewBroadcast(*given, **named))
        return views[-1]

    with mock.patch.object(room, "ViewBroadcast", watched_view), _server(run) as server:
        async with Browser(server.port) as browser, aiohttp.ClientSession() as session:
            await browser.scored(1)
            views[0].subscribe(_Screen(run), None)
            query, own = f"room={browser.room}", Log[Event]()
            browser.channel.on("message", lambda text: own.take(json.loads(text)))
            async with (
                _watched(f"{browser.url}/events?{query}") as client,
                session.ws_connect(f"{browser.url}/control?{query}") as socket,
            ):
                task = asyncio.create_task(_listen(socket, own))

                async def give(step: Step) -> float:
                    command, since = step.command, time.monotonic()
                    if way == "HTTP":
                        answer = await session.post(f"{browser.url}/rooms/{browser.room}/commands", json=command)
                        assert (await answer.json())["command"] == command
                        return since
                    if way == "/control":
                        await socket.send_json(command)
                    else:
                        browser.notify(**command)
                    await own.time_of(lambda event: event["type"] == "ack" and event["command"] == command, since)
                    return since

                yield WayIn(client, run, give)
                task.cancel()


class _SeenWindow(StandInWindow):
    """A window whose frames are seen, with whether they are recorded."""

    def __init__(self, typed: Callable[[], list[KeyPress]], run: Run, status: OverlayStatus) -> None:
        super().__init__(typed)
        self._run, self._status = run, status

    def show(self, image: Image) -> None:
        self._run.frame(image, self._status.info.is_recording)


@asynccontextmanager
async def _window() -> AsyncIterator[WayIn]:
    """This machine's own run, with a window. A key is acknowledged when the run has accepted its command."""
    control, presses, stop = Control(), deque[KeyPress](), threading.Event()
    run, status, taken = Run(), OverlayStatus(), Log[Event]()
    control.subscribe(lambda event: taken.take(event.command))
    window = _SeenWindow(lambda: [presses.popleft()] if presses else [], run, status)
    with _server(run, control) as server, ExitStack() as stack:
        live = LiveRun(
            Camera(),
            steered(False, control, run),
            OutputHub(server.outputs, _fail),
            composer=ViewComposer(View.BOXES),
            status=status,
            window=cast(Window, window),
            duration_seconds=None,
            notify=_fail,
        )
        thread = threading.Thread(target=live.run, args=(stop,))
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)
        async with _watched(f"http://127.0.0.1:{server.port}/events?room=local") as client:

            async def give(step: Step) -> float:
                *before, last = (press for key in step.keys if (press := key_press(ord(key))))
                presses.extend(before)
                while presses:
                    await asyncio.sleep(0.001)
                since = time.monotonic()
                presses.append(last)
                await taken.time_of(step.is_given_by, since)
                return since

            yield WayIn(client, run, give)


def main(arguments: list[str]) -> int:
    """Print a line for each interface and each command; status 1 when a command takes longer than the bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks commands", description=__doc__)
    parser.add_argument("--count", type=int, default=10, help="how often every command is given by each way")
    given = parser.parse_args(arguments)
    results = {way: asyncio.run(measured(way, given.count)) for way in WAYS}
    for way, measurements in results.items():
        parts = []
        for name in ("acknowledged", "seen", "in_force"):
            values = [getattr(delays, name) for _, delays in measurements]
            parts.append(f"{name.replace('_', ' ')} {np.median(values):.0f} ms (p95 {np.percentile(values, 95):.0f})")
        print(f"{way}: {', '.join(parts)}")
    worst = 0.0
    print(f"in force, median and slowest in ms by {', '.join(WAYS)}:")
    for step in STEPS:
        values_by_way = [[delays.in_force for each, delays in results[way] if each is step] for way in WAYS]
        worst = max(worst, *(float(np.percentile(values, 95)) for values in values_by_way))
        print(f"  {step.name}: {', '.join(f'{np.median(values):.0f} {max(values):.0f}' for values in values_by_way)}")
    print(f"bar: each in force within {BAR_MS:.0f} ms (95th percentile)")
    return 0 if worst <= BAR_MS else 1
