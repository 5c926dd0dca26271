"""A real Chromium whose camera shows a meeting of four real people: as right about them as the same file run fast."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[test]'")
pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")

from playwright.sync_api import sync_playwright

from tests.data import DEV, compose_gallery, event_scores, file_events, needs_clips
from tests.stream.server.chromium import (
    APART_SECONDS,
    LEAD_SECONDS,
    SMALL,
    Event,
    Footage,
    camera_behind_seconds,
    chromium,
    footage_of,
    is_reported,
    listening,
    needs_chromium,
    on_file_time,
    skip_if_apart,
    skip_if_too_busy,
    start_camera,
    wait_until,
)
from tests.stream.server.test_server_factory import command

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
    """Four people, all of whom move their lips, one of whom speaks at a time; its truth lies beside it."""
    path = tmp_path_factory.mktemp("gallery") / "gallery.mp4"
    options = ["--people", "4", "--seconds", str(SECONDS), "--seed", str(SEED)]
    return compose_gallery(path, sorted((DEV / "single").glob("*.mp4")), SIZE, *options)


@pytest.fixture(scope="module")
def footage(gallery: Path) -> Footage:
    """The gallery for a fake camera and microphone."""
    return footage_of(gallery, SIZE)


def identity(gallery: Path, events: Sequence[Event], folder: Path) -> float:
    """Share of the turns' time in which the right person is named, by the scorer that judges event logs."""
    log = folder / "events.jsonl"
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    return float(event_scores(gallery.with_suffix(".json"), log)["identity"])


def watch(footage: Footage) -> tuple[list[Event], float]:
    """The events of a browser that has the footage for a camera, and how far that came behind its microphone."""
    with command() as (_, url), sync_playwright() as playwright, chromium(playwright, footage) as browser:
        page = browser.new_page(viewport=SMALL)
        start_camera(page, url)
        with listening(page.locator("#events-link").input_value()) as events:
            wait_until(lambda: is_reported(events, SECONDS), page, 2 * (LEAD_SECONDS + SECONDS) + 10)
        return events, camera_behind_seconds(page, footage)


def test_a_browser_gets_the_events_of_the_file(gallery: Path, footage: Footage, tmp_path: Path) -> None:
    for _ in range(ATTEMPTS):
        events, behind_seconds = watch(footage)
        if abs(behind_seconds) < APART_SECONDS:
            break
    skip_if_too_busy(events)
    skip_if_apart(behind_seconds)
    assert is_reported(events, SECONDS)
    seen = identity(gallery, on_file_time(events, footage, SIZE), tmp_path)
    fast = identity(gallery, file_events(gallery, tmp_path / "fast.jsonl"), tmp_path)
    assert seen >= fast - WITHIN, f"{seen:.3f} in the browser, {fast:.3f} as a file"
