"""Real people in a real Chromium: a gallery with exact truth through camera, page and room is marked as the file is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[test]'")
pytest.importorskip("aiortc", reason="the extra [web] is not installed: pip install '.[web]'")

import av
import numpy as np
from playwright.sync_api import Page, Playwright, sync_playwright

from core.media import Image, Samples
from core.timebase import SAMPLE_RATE
from tests.data import DEV, SHARED
from tests.stream.server.chromium import (
    CHROMIUM,
    LEAD_SECONDS,
    Event,
    Footage,
    begun,
    chromium,
    kept,
    listening,
    on_file_time,
    start_camera,
    write_y4m,
)
from tests.stream.server.test_browser import skip_if_too_busy, wait_until
from tests.stream.server.test_serving import ROOT, command

MAKE = SHARED / "gallery" / "make_gallery.py"
SCORE = SHARED / "gallery" / "score_events.py"
CLIPS = DEV / "single"

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)"),
    pytest.mark.skipif(not (MAKE.is_file() and CLIPS.is_dir()), reason="the shared clips are not on this machine"),
]

TOKEN = "open-sesame"
WIDTH, HEIGHT = 640, 360
SECONDS, SEED = 20, 2

ALLOWED_LOSS = 0.05
"""Of identity, from the file as it is to the same pictures and sound through a browser."""

ALLOWED_APART_SECONDS = 0.4
"""Of picture and sound, as Chromium starts its two fake devices: the room lag has to take that up, and finds at most
0.6 s, of which clips that are out of sync themselves need some."""

MEASURE = """
(() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const small = new OffscreenCanvas(32, 18).getContext("2d", { willReadFrequently: true });
  window.heard = [];
  window.seen = [];
  const brightness = (frame) => {
    small.drawImage(frame, 0, 0, 32, 18);
    return small.getImageData(0, 0, 32, 18).data.reduce((sum, value) => sum + value, 0) / (4 * 32 * 18);
  };
  const loudness = (sound) => {
    const samples = new Float32Array(sound.numberOfFrames);
    sound.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    return samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  };
  const note = async (track, list, measured) => {
    const reader = new MediaStreamTrackProcessor({ track: track.clone() }).readable.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      list.push([performance.now() / 1000, measured(value)]);
      value.close();
    }
  };
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    note(stream.getAudioTracks()[0], window.heard, loudness);
    note(stream.getVideoTracks()[0], window.seen, brightness);
    return stream;
  };
})();
"""
"""Notes, as they come out of the browser's devices, how loud every piece of sound and how bright every picture is."""


@dataclass(frozen=True)
class Gallery:
    """Four people, one of them heard at a time: as a file, as its truth, and as what a browser's devices give."""

    file: Path
    footage: Footage

    @property
    def truth(self) -> Path:
        return self.file.with_suffix(".json")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    file = tmp_path_factory.mktemp("gallery") / "four.mp4"
    options = f"--people 4 --regime moving --seconds {SECONDS} --size {WIDTH}x{HEIGHT} --seed {SEED}".split()
    clips = sorted(map(str, CLIPS.iterdir()))
    subprocess.run([sys.executable, MAKE, "--out", file, *options, *clips], check=True, capture_output=True)
    return Gallery(file, write_y4m(pictures_of(file), sound_of(file), file.with_name("camera")))


def pictures_of(file: Path) -> list[Image]:
    with av.open(file) as box:
        return [frame.to_ndarray(format="bgr24") for frame in box.decode(video=0)]


def sound_of(file: Path) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(file) as box:
        pieces = [piece.to_ndarray()[0] for frame in box.decode(audio=0) for piece in resampler.resample(frame)]
    return np.concatenate(pieces)[: SECONDS * SAMPLE_RATE]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with command("--token", TOKEN) as (_, url):
        yield url


def by_file(gallery: Gallery) -> list[Event]:
    """What is told of the file when it is read directly."""
    events = gallery.file.with_suffix(".jsonl")
    line = ["run_live.py", "--video", gallery.file, "--fast", "--no-window", "--events", events]
    subprocess.run([sys.executable, *line], cwd=ROOT, check=True, capture_output=True)
    return [json.loads(text) for text in events.read_text().splitlines()]


def scored(gallery: Gallery, events: list[Event], name: str) -> dict[str, Any]:
    """What score_events.py says."""
    log = gallery.file.with_name(f"{name}.jsonl")
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    line = [sys.executable, SCORE, gallery.truth, log, "--json"]
    result: dict[str, Any] = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    return result


def sound_after_picture(page: Page) -> float:
    """Seconds by which the microphone began the gallery after the camera; the lead before it is silent, and grey."""
    heard, seen = page.evaluate("[heard, seen]")
    sound = next(moment for moment, loudness in heard if loudness > 1e-4)
    grey = np.median([brightness for _, brightness in seen[:10]])
    picture = next(moment for moment, brightness in seen if abs(brightness - grey) > 10)
    return float(sound - picture)


@pytest.mark.timeout(180)
def test_real_people_are_marked_as_in_the_file(playwright: Playwright, server: str, gallery: Gallery) -> None:
    with chromium(playwright, gallery.footage) as browser:
        page = browser.new_page()
        page.add_init_script(MEASURE)
        start_camera(page, f"{server}/?token={TOKEN}")
        with listening(page.locator("#events-link").input_value()) as events:
            # Files are played over and over: the second round counts if the room missed the first one's beginning.
            assert wait_until(lambda: begun(events) is not None, page, 2 * (LEAD_SECONDS + SECONDS))
            start = begun(events) or 0.0
            assert wait_until(lambda: kept(events, "scores")[-1]["time"] > start + SECONDS, page, SECONDS + 10)
        apart = sound_after_picture(page)
    skip_if_too_busy(events)
    assert abs(apart) < ALLOWED_APART_SECONDS
    # The first picture of people is the file's first: its session time is the file's 0, whatever the scores are.
    through_page = scored(gallery, on_file_time(events, gallery.footage, (WIDTH, HEIGHT)), "page")
    direct = scored(gallery, by_file(gallery), "direct")
    print(f"sound {1000 * apart:.0f} ms after the picture; {through_page}; {direct}; {kept(events, 'lag')[-1:]}")
    assert through_page["faces"] > 0.95
    assert through_page["identity"] >= direct["identity"] - ALLOWED_LOSS
