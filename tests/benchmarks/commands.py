"""Command latency of each interface: until acknowledged, visible to a second client, and in force.

Each command goes to a room of a real server by the page's data channel, the WebSocket ``/control`` or HTTP, or comes
from a key of the window to this machine's own run. A second client listens on ``/events``. In force is a command with
the first scored tick that follows it. The engine is a stand-in: what it decides takes no time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import aiohttp
import numpy as np

from speakerlight.composer import ViewComposer
from speakerlight.control import Control
from speakerlight.core.decision.director import DirectorSettings
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.framing import View
from speakerlight.core.snapshot import Snapshot, SpeakingState
from speakerlight.engine import Engine
from speakerlight.live import LiveRun, OverlayStatus
from speakerlight.outputs.hub import OutputHub
from speakerlight.server.listener import listening
from speakerlight.server.room import Engines
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.server.server import Server
from speakerlight.steering import SteeredScorer
from speakerlight.window import Action, KeyPress, Window
from tests.stream.server.browser import Browser
from tests.stream.standin import StandInScorer, stand_in
from tests.stream.test_live import Camera, StandInWindow

BAR_MS = 100.0
LIMIT_SECONDS = 10.0

WINDOW_KEY = "window key"
WAYS = ("data channel", "/control", "HTTP", WINDOW_KEY)

Event = dict[str, Any]


@dataclass(frozen=True)
class Delays:
    """Milliseconds from a command until it is acknowledged, visible to another client, and in force."""

    acknowledged: float
    seen: float
    in_force: float


@dataclass(frozen=True)
class WayIn:
    """``give`` excludes person 1 or allows them again, and returns when that is acknowledged.

    ``client``: another client of the room.
    """

    client: Client
    give: Callable[[bool], Awaitable[None]]


class _Scorer(StandInScorer):
    """Person 1 speaks all the time."""

    def set_lag(self, lag_ms: float | None) -> None: ...

    def _snapshot(self, tracks: FrameTracks) -> Snapshot:
        made = super()._snapshot(tracks)
        faces = tuple(replace(face, score=1.0, speaking=True) for face in made.faces)
        return replace(made, faces=faces, state=SpeakingState.SPEAKING, primary=1)


def steered(has_audio: bool, control: Control) -> Engine:
    """A stand-in engine that follows ``control``."""
    scorer = SteeredScorer(_Scorer(has_audio), control, DirectorSettings())
    return replace(stand_in(has_audio), scorer=scorer, control=control)


class Client:
    """A client of ``/events``, with the times at which events reach it."""

    def __init__(self) -> None:
        self._received: list[tuple[float, Event]] = []
        self._changed = asyncio.Event()

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Receive events until the connection ends."""
        async for message in socket:
            self.take(json.loads(message.data))

    def take(self, event: Event) -> None:
        """Store an event with its time of arrival."""
        self._received.append((time.monotonic(), event))
        self._changed.set()

    async def time_of(self, wanted: Callable[[Event], bool], since: float) -> float:
        """Monotonic time at which the first matching event after ``since`` arrived."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                for moment, event in reversed(self._received):
                    if moment < since:
                        break
                    if wanted(event):
                        return moment
                self._changed.clear()
                await self._changed.wait()


async def measured(way: str, count: int) -> list[Delays]:
    """Delays of ``count`` commands given through ``way``."""
    async with _window() if way == WINDOW_KEY else _room(way) as opened:
        delays = []
        for number in range(count):
            # Commands come anywhere between two ticks.
            await asyncio.sleep(0.15 + 0.04 * number / count)
            delays.append(await _delays(opened, is_excluded=number % 2 == 0))
    return delays


async def _delays(way: WayIn, *, is_excluded: bool) -> Delays:
    def is_seen(event: Event) -> bool:
        return bool(event["type"] == "control" and event["command"] == _command(is_excluded))

    def is_in_force(event: Event) -> bool:
        return bool(event["type"] == "scores" and event["faces"] and event["faces"][0]["speaking"] != is_excluded)

    given = time.monotonic()
    await way.give(is_excluded)
    acknowledged = time.monotonic()
    seen, in_force = await way.client.time_of(is_seen, given), await way.client.time_of(is_in_force, given)
    return Delays(*(1000 * (moment - given) for moment in (acknowledged, seen, in_force)))


def _command(is_excluded: bool) -> Event:
    return {"type": "exclude", "id": 1, "on": is_excluded}


@contextmanager
def _engine(has_audio: bool, control: Control) -> Iterator[Engine]:
    yield steered(has_audio, control)


@contextmanager
def _server(local: Control | None = None) -> Iterator[Server]:
    engines = Engines(_engine, "stand-in", "cpu")
    settings = ServeSettings(host="127.0.0.1", port=0)
    with listening(settings) as address, Server(address, engines, _fail, local=local) as server:
        yield server


def _fail(line: str) -> None:
    raise AssertionError(line)


@asynccontextmanager
async def _watched(url: str) -> AsyncIterator[Client]:
    client = Client()
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        task = asyncio.create_task(client.listen(socket))
        try:
            await client.time_of(lambda event: event["type"] == "person", 0.0)
            yield client
        finally:
            task.cancel()


@asynccontextmanager
async def _room(way: str) -> AsyncIterator[WayIn]:
    with _server() as server:
        async with Browser(server.port) as browser, aiohttp.ClientSession() as session:
            await browser.scored(1)
            room, own = f"room={browser.room}", Client()
            browser.channel.on("message", lambda text: own.take(json.loads(text)))
            async with (
                _watched(f"{browser.url}/events?{room}") as client,
                session.ws_connect(f"{browser.url}/control?{room}") as socket,
            ):
                task = asyncio.create_task(own.listen(socket))

                async def give(is_excluded: bool) -> None:
                    command, since = _command(is_excluded), time.monotonic()
                    if way == "HTTP":
                        answer = await session.post(f"{browser.url}/rooms/{browser.room}/commands", json=command)
                        assert (await answer.json())["command"] == command
                        return
                    if way == "/control":
                        await socket.send_json(command)
                    else:
                        browser.notify(**command)
                    await own.time_of(lambda event: event["type"] == "ack" and event["command"] == command, since)

                yield WayIn(client, give)
                task.cancel()


@asynccontextmanager
async def _window() -> AsyncIterator[WayIn]:
    """This machine's own run, with a window. A key is acknowledged when the run has accepted its command."""
    control, presses, stop = Control(), deque([KeyPress(Action.PICK, 1)]), threading.Event()
    window = StandInWindow(lambda: [presses.popleft()] if presses else [])
    with _server(control) as server, ExitStack() as stack:
        run = LiveRun(
            Camera(),
            steered(False, control),
            OutputHub(server.outputs, _fail),
            composer=ViewComposer(View.BOXES),
            status=OverlayStatus(),
            window=cast(Window, window),
            duration_seconds=None,
            notify=_fail,
        )
        thread = threading.Thread(target=run.run, args=(stop,))
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)
        async with _watched(f"http://127.0.0.1:{server.port}/events?room=local") as client:

            async def give(is_excluded: bool) -> None:
                presses.append(KeyPress(Action.EXCLUDE))
                async with asyncio.timeout(LIMIT_SECONDS):
                    while (1 in control.state.excluded) != is_excluded:
                        await asyncio.sleep(0.001)

            yield WayIn(client, give)


def main(arguments: list[str]) -> int:
    """Print a line for each interface; status 1 when a command takes longer than the bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks commands", description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="commands by each way")
    given = parser.parse_args(arguments)
    worst = 0.0
    for way in WAYS:
        delays = asyncio.run(measured(way, given.count))
        parts = []
        for name in ("acknowledged", "seen", "in_force"):
            values = [getattr(each, name) for each in delays]
            parts.append(f"{name.replace('_', ' ')} {np.median(values):.0f} ms (p95 {np.percentile(values, 95):.0f})")
        worst = max(worst, float(np.percentile([each.in_force for each in delays], 95)))
        print(f"{way}: {', '.join(parts)}", flush=True)
    print(f"bar: in force within {BAR_MS:.0f} ms (95th percentile)")
    return 0 if worst <= BAR_MS else 1
