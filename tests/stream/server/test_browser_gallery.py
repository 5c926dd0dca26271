"""A real Chromium whose camera shows a meeting of four real people: as right about them as the same file run fast."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[test]'")
pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")

from playwright.sync_api import sync_playwright

from speakerlight import command_line
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.timebase import TICK_RATE
from speakerlight.sources.files import FileReader
from tests.data import DEV, SHARED, event_scores, needs_clips
from tests.stream.server.chromium import (
    APART_SECONDS,
    LEAD_SECONDS,
    SMALL,
    Event,
    Footage,
    camera_behind_seconds,
    chromium,
    is_told,
    listening,
    needs_chromium,
    on_file_time,
    skip_if_apart,
    skip_if_too_busy,
    start_camera,
    wait_until,
    write_footage,
)
from tests.stream.server.test_serving import command

pytestmark = [
    needs_clips,
    needs_chromium,
    pytest.mark.timeout(300),
]

SECONDS = 40
SEED = 5
"""Of a gallery that is clear when read as a file: where a turn is a toss-up, one more or less lost decides the test."""

SIZE = (640, 360)
WITHIN = 0.05
"""Of identity: what the way through camera, codec and network may cost."""

ATTEMPTS = 3


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people, all of whom move their lips, one of whom is heard at a time; its truth lies beside it."""
    path = tmp_path_factory.mktemp("gallery") / "gallery.mp4"
    settings = ["--people", "4", "--seconds", str(SECONDS), "--size", "{}x{}".format(*SIZE), "--seed", str(SEED)]
    clips = sorted(map(str, (DEV / "single").glob("*.mp4")))
    script = [sys.executable, str(SHARED / "gallery" / "make_gallery.py"), "--out", str(path), *settings]
    subprocess.run([*script, *clips], check=True)
    return path


@pytest.fixture(scope="module")
def footage(gallery: Path) -> Footage:
    """The gallery for a fake camera and microphone."""
    reader = FileReader(gallery)
    samples = np.concatenate([item.samples for item in reader if isinstance(item, AudioChunk)])
    images = (item.image for item in FileReader(gallery) if isinstance(item, Frame))
    return write_footage(images, samples, SIZE, TICK_RATE, gallery.with_name("camera"))


def identity(gallery: Path, events: Sequence[Event], folder: Path) -> float:
    """Share of the turns' time in which the right person is named, by the scorer that judges event logs."""
    log = folder / "events.jsonl"
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    return float(event_scores(gallery.with_suffix(".json"), log)["identity"])


def run_fast(gallery: Path, folder: Path) -> list[Event]:
    """The events of the same file, as fast as possible."""
    log = folder / "fast.jsonl"
    assert command_line.main(["--video", str(gallery), "--fast", "--no-window", "--events", str(log)]) == 0
    return [json.loads(line) for line in log.read_text().splitlines()]


def watch(footage: Footage) -> tuple[list[Event], float]:
    """The events of a browser that has the footage for a camera, and how far that came behind its microphone."""
    with command() as (_, url), sync_playwright() as playwright, chromium(playwright, footage) as browser:
        page = browser.new_page(viewport=SMALL)
        start_camera(page, url)
        with listening(page.locator("#events-link").input_value()) as events:
            wait_until(lambda: is_told(events, SECONDS), page, 2 * (LEAD_SECONDS + SECONDS) + 10)
        return events, camera_behind_seconds(page, footage)


def test_a_browser_gets_the_events_of_the_file(gallery: Path, footage: Footage, tmp_path: Path) -> None:
    for _ in range(ATTEMPTS):
        events, behind_seconds = watch(footage)
        if abs(behind_seconds) < APART_SECONDS:
            break
    skip_if_too_busy(events)
    skip_if_apart(behind_seconds)
    assert is_told(events, SECONDS)
    seen = identity(gallery, on_file_time(events, footage, SIZE), tmp_path)
    fast = identity(gallery, run_fast(gallery, tmp_path), tmp_path)
    assert seen >= fast - WITHIN, f"{seen:.3f} in the browser, {fast:.3f} as a file"
