"""A real Chromium whose camera and microphone are files, and what the server reports about the room that it opens."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
import wave
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, ViewportSize

from speakerlight.core.demo import Demo, Judge
from speakerlight.core.media import AudioChunk, Frame, Image, Samples
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from speakerlight.sources.files import FileReader
from tests.stream.server.test_server_factory import KEEPS_UP

CHROMIUM = shutil.which("chromium")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

SMALL = ViewportSize(width=480, height=360)
"""Browsers that paint without a graphics card leave little of two cores to the server."""

LEAD_SECONDS = 4.0
"""Of video without faces before people appear: time to connect, and then their appearance marks the beginning."""

SEEN_LEAD_SECONDS = 1.0
"""So much of the lead must a room have seen to tell where it ends."""

APART_SECONDS = 0.1
"""Between what Chromium's two fake devices have given: a frame as a rule, far more where they had to wait."""

Event = dict[str, Any]


@dataclass(frozen=True)
class Footage:
    """What a browser's camera and microphone give, over and over; ``seconds`` of it after the lead.

    ``rate`` is the camera's frames a second.
    """

    video: Path
    audio: Path
    seconds: float
    rate: int


def write_demo(demo: Demo, seconds: float, stem: Path) -> Footage:
    """The demo's people as footage."""
    images = (demo.frame(index) for index in range(round(seconds * demo.settings.rate)))
    samples = demo.audio(0, round(seconds * SAMPLE_RATE))
    return write_footage(images, samples, demo.settings.size, round(demo.settings.rate), stem)


def write_footage(images: Iterable[Image], samples: Samples, size: tuple[int, int], rate: int, stem: Path) -> Footage:
    """Frames (BGR; width and height, so many a second) and audio (16 kHz) as footage, without loss.

    Not MJPEG: as long as it decodes that, Chromium's camera falls behind its microphone on a busy machine, for good.
    """
    video = stem.with_suffix(".y4m")
    with video.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n" % (*size, rate))
        for image in chain(lead(*size, rate), images):
            file.write(b"FRAME\n" + cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).tobytes())
    return Footage(video, write_sound(samples, stem), len(samples) / SAMPLE_RATE, rate)


def footage_of(file: Path, size: tuple[int, int]) -> Footage:
    """The footage of a video file with audio, 25 frames a second, beside it."""
    samples = np.concatenate([item.samples for item in FileReader(file) if isinstance(item, AudioChunk)])
    images = (item.image for item in FileReader(file) if isinstance(item, Frame))
    return write_footage(images, samples, size, TICK_RATE, file.with_name("camera"))


def lead(width: int, height: int, rate: int) -> Iterator[Image]:
    """Upright bars that move: enough to send for the sender to find its bandwidth, and no face, even when blurred."""
    colours = np.random.default_rng(0).integers(60, 196, (1, width // 20, 3), np.uint8)
    bars = cv2.resize(colours, (width, height), interpolation=cv2.INTER_NEAREST)
    for number in range(round(LEAD_SECONDS * rate)):
        yield np.roll(bars, 4 * number, axis=1)


def write_sound(samples: Samples, stem: Path) -> Path:
    """After the lead's silence."""
    audio_part = np.concatenate([np.zeros(round(LEAD_SECONDS * SAMPLE_RATE), np.float32), samples])
    audio = stem.with_suffix(".wav")
    with wave.open(str(audio), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(audio_part, -1, 1) * 32767).astype("<i2").tobytes())
    return audio


@contextmanager
def chromium(playwright: Playwright, footage: Footage | None = None) -> Iterator[Browser]:
    """A browser that has ``footage`` for a camera and a microphone, or else Chromium's own: a dial and beeps."""
    files = (
        ()
        if footage is None
        else (
            f"--use-file-for-fake-video-capture={footage.video}",
            f"--use-file-for-fake-audio-capture={footage.audio}",
        )
    )
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *files])
    try:
        yield browser
    finally:
        browser.close()


def start_camera(page: Page, url: str) -> None:
    """Load the page and go live."""
    page.goto(url)
    page.get_by_role("button", name="Camera and microphone").click()
    page.locator("#connection[data-state=live]").wait_for(timeout=20_000)


@contextmanager
def at_once(browsers: Sequence[Browser], url: str) -> Iterator[tuple[list[Page], list[list[Event]]]]:
    """All of them live, and the events of each one's room: no camera is begun before all have loaded the page."""
    with ExitStack() as stack:
        pages = [browser.new_page(viewport=SMALL) for browser in browsers]
        for page in pages:
            page.goto(url)
        for page in pages:
            page.get_by_role("button", name="Camera and microphone").click()
        for page in pages:
            page.locator("#connection[data-state=live]").wait_for(timeout=20_000 * len(pages))
        yield pages, [stack.enter_context(listening(page.locator("#events-link").input_value())) for page in pages]


@contextmanager
def listening(address: str) -> Iterator[list[Event]]:
    """The events of ``/events`` at a WebSocket address, with the state published before the connection."""
    events: list[Event] = []
    ready, over = threading.Event(), threading.Event()

    async def listen() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
            ready.set()
            while not over.is_set():
                try:
                    message = await socket.receive(timeout=0.2)
                except TimeoutError:
                    continue
                if message.type != aiohttp.WSMsgType.TEXT:
                    return
                events.append(json.loads(message.data))

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    assert ready.wait(10.0)
    try:
        yield events
    finally:
        over.set()
        thread.join()


def kept(events: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def rounds(events: Sequence[Event]) -> list[float]:
    """Session times of the first frames of each round of footage: people appear after a lead."""
    beginnings, empty_since = [], None
    for event in kept(events, "scores"):
        if not event["faces"]:
            empty_since = empty_since or event["time"]
            continue
        if empty_since is not None and event["time"] - empty_since > SEEN_LEAD_SECONDS:
            beginnings.append(float(event["time"]))
        empty_since = None
    return beginnings


def begun(events: Sequence[Event], after: float = 0.0) -> float | None:
    """Session time at which a round of the footage first began, ``after`` another; None until then."""
    return next((beginning for beginning in rounds(events) if beginning >= after), None)


def is_reported(events: Sequence[Event], seconds: float, after: float = 0.0) -> bool:
    """Whether the room has received so much footage of a round that began ``after`` a time."""
    start = begun(events, after)
    return start is not None and kept(events, "scores")[-1]["time"] > start + seconds


def wait_until(is_so: Callable[[], bool], page: Page, seconds: float) -> bool:
    """Whether it came about in time, while the page goes on."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        page.wait_for_timeout(100)
    return True


def skip_if_too_busy(events: Sequence[Event]) -> None:
    """No statement about marks is possible where most of the work was dropped."""
    if any(event["level"] > KEEPS_UP for event in kept(events, "load")):
        pytest.skip("this machine is too busy at present to keep up with a room and its browser")


GIVEN = """() => {
    const [audio] = document.getElementById("video").srcObject.getAudioTracks();
    const [video] = document.getElementById("video").srcObject.getVideoTracks();
    return [audio.stats.totalFramesDuration / 1000, video.stats.totalFrames];
}"""


def camera_behind_seconds(page: Page, footage: Footage) -> float:
    """How much less the page's camera has given than its microphone: one that is starved never makes up for it."""
    sound_seconds, frames = page.evaluate(GIVEN)
    return float(sound_seconds - frames / footage.rate)


def skip_if_apart(behind_seconds: float) -> None:
    """Nor is one possible where lips and voice were out of sync before the page received them."""
    if abs(behind_seconds) > APART_SECONDS:
        pytest.skip(f"this machine is too busy: the fake camera came {behind_seconds:.2f} s behind its microphone")


def on_file_time(events: Sequence[Event], footage: Footage, size: tuple[int, int], after: float = 0.0) -> list[Event]:
    """The events of the first round of the footage ``after`` a time, by its own clock and in its own pixels (width,
    height)."""
    start = begun(events, after)
    assert start is not None
    frame = kept(events, "picture")[-1]
    across, down = size[0] / frame["width"], size[1] / frame["height"]
    lines = []
    for event in events:
        if "time" not in event or not 0 <= event["time"] - start < footage.seconds:
            continue
        boxes = [[x * across, y * down, w * across, h * down] for x, y, w, h in boxes_of(event)]
        faces = [face | {"box": box} for face, box in zip(event.get("faces", []), boxes, strict=True)]
        lines.append(event | {"time": event["time"] - start} | ({"faces": faces} if faces else {}))
    return lines


def identity(events: Sequence[Event], demo: Demo, footage: Footage, after: float = 0.0) -> float:
    """Share of the turns' time of that round in which the right person was the speaker."""
    judge = Judge(demo.tiles, demo.turns)
    who: int | None = None
    for event in on_file_time(events, footage, demo.settings.size, after):
        if event["type"] == "speaker":
            who = event["id"] if event["state"] == "speaking" else None
        elif event["type"] == "scores":
            box = next((face["box"] for face in event["faces"] if face["id"] == who), None)
            centre = (box[0] + box[2] / 2, box[1] + box[3] / 2) if box else None
            judge.count(event["time"], who is not None, centre)
    share = judge.verdict().identity
    assert share is not None
    return share


def boxes_of(event: Event) -> list[list[float]]:
    return [face["box"] for face in event.get("faces", [])]
