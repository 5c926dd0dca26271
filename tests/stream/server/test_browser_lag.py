"""A real Chromium whose microphone is late by a known time: the page finds that lag and sets it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[test]'")
pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")

from playwright.sync_api import expect, sync_playwright

from tests.data import DEV, compose_gallery, file_events, needs_clips
from tests.stream.server.chromium import (
    SMALL,
    Footage,
    camera_behind_seconds,
    chromium,
    footage_of,
    kept,
    listening,
    needs_chromium,
    skip_if_apart,
    skip_if_too_busy,
    start_camera,
    wait_until,
)
from tests.stream.server.test_server_factory import command

pytestmark = [needs_clips, needs_chromium, pytest.mark.timeout(300)]

CLIP = DEV / "people" / "p415_d.mp4"

LATE_MS = 200
SECONDS = 40
SIZE = (640, 360)

WITHIN_MS = 60.0
"""Within what SyncNet tolerates, 40 ms, and what is known of the two fake devices: half a frame."""


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person who speaks, with pauses; the audio is late."""
    path = tmp_path_factory.mktemp("late") / "late.mp4"
    return compose_gallery(path, [CLIP], SIZE, "--people", "1", "--seconds", str(SECONDS), "--lag-ms", str(LATE_MS))


@pytest.fixture(scope="module")
def footage(late: Path) -> Footage:
    """The same for a fake camera and microphone."""
    return footage_of(late, SIZE)


def lag_of_file(path: Path) -> float:
    """The lag that is estimated when the file is read: the one that was set, and the clip's own."""
    lags = [event for event in file_events(path, path.with_suffix(".jsonl")) if event["type"] == "lag"]
    return float(lags[-1]["milliseconds"])


def test_the_lag_of_a_late_microphone_is_found_and_set(late: Path, footage: Footage) -> None:
    expected_ms = lag_of_file(late)
    assert expected_ms == pytest.approx(LATE_MS, abs=WITHIN_MS)
    with command() as (_, url), sync_playwright() as playwright, chromium(playwright, footage) as browser:
        page = browser.new_page(viewport=SMALL)
        start_camera(page, url)
        with listening(page.locator("#events-link").input_value()) as events:
            page.locator("#faces button").wait_for(timeout=60_000)
            page.get_by_text("Marks and sound").click()
            page.get_by_role("button", name="Find it").click()
            found = page.locator("#lag-found")
            behind_ms = [1000 * camera_behind_seconds(page, footage)]

            def is_found() -> bool:
                behind_ms.append(1000 * camera_behind_seconds(page, footage))
                return not found.inner_text().startswith("Look")

            wait_until(is_found, page, 60.0)
            line = found.inner_text()
            wait_until(lambda: bool(kept(events, "control")[1:]), page, 5.0)
        skip_if_too_busy(events)
        skip_if_apart(max(behind_ms, key=abs) / 1000)
        match = re.fullmatch(r"Found and set: (\d+) ms late, (\d+) % sure\.", line)
        assert match, line
        # What the page gave while the lag was found: a starved camera makes the microphone less late.
        least_ms, most_ms = expected_ms - max(behind_ms), expected_ms - min(behind_ms)
        assert least_ms - WITHIN_MS <= float(match[1]) <= most_ms + WITHIN_MS
        commands = [event["command"] for event in kept(events, "control")]
        assert commands[-1] == {"type": "lag", "milliseconds": int(match[1])}
        expect(page.locator("#set-lag")).to_have_value(match[1])
