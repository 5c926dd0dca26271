"""The screen. With Xvfb it is a real live video source: X11 → ring, with its latency measured."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.core.errors import InputError
from speakerlight.core.media import Frame
from speakerlight.sources.screen import ScreenRegion, ScreenSource, parse_screen
from speakerlight.sources.source import SourceState


def test_a_region_is_written_with_four_whole_numbers() -> None:
    assert parse_screen("screen") is None
    assert parse_screen("screen:10,20,640,480") == ScreenRegion(10, 20, 640, 480)
    for wrong in (
        "screen:",
        "screen:1,2,3",
        "screen:1,2,3,4,5",
        "screen:a,b,c,d",
        "screen:0,0,0,10",
        "screen:-1,0,9,9",
    ):
        with pytest.raises(InputError, match="screen:X,Y,W,H"):
            parse_screen(wrong)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about X11 and Wayland")
def test_a_missing_screen_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(InputError, match="no display"):
        ScreenSource(None)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with pytest.raises(InputError, match="Wayland"):
        ScreenSource(None)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("mss")
    if shutil.which("Xvfb") is None or shutil.which("xsetroot") is None:
        pytest.skip("Xvfb or xsetroot is not installed (Debian: xvfb, x11-xserver-utils)")
    # Without -noreset the server forgets what was painted whenever its last client goes.
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        name = f":{server.stdout.readline().strip()}"
        monkeypatch.setenv("DISPLAY", name)
        monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
        yield name
        server.terminate()


def test_a_change_of_the_screen_is_seen_within_two_frames(display: str) -> None:
    source, clock = ScreenSource(ScreenRegion(10, 20, 160, 120)), SessionClock()
    assert source.frames is not None and not source.has_audio
    source.start(clock)
    assert source.frames.take(5) is not None
    paint("black")
    for colour, level in (("white", 255), ("black", 0), ("white", 255)):
        begun = clock.now()
        paint(colour)
        changed = clock.now()
        frames: list[Frame] = []
        while not frames or frames[-1].image[60, 80, 0] != level:
            assert clock.now() < changed + 5, f"{colour} is not seen"
            if (frame := source.frames.take(1)) is not None and frame.time > begun:
                frames.append(frame)
        assert frames[-1].image.shape == (120, 160, 3)
        assert sum(frame.time > changed for frame in frames[:-1]) <= 1, "two frames after the change at most"
    times = [frame.time for _ in range(14) if (frame := source.frames.take(1))]
    assert np.median(np.diff(times)) == pytest.approx(1 / 25, rel=0.2), "25 frames a second"
    source.stop()
    assert source.state is SourceState.ENDED and source.trouble is None


def paint(colour: str) -> None:
    subprocess.run(["xsetroot", "-solid", colour], check=True, timeout=5)


def test_a_region_outside_the_screen_is_one_clear_line(display: str) -> None:
    with pytest.raises(InputError, match="inside the screen"):
        ScreenSource(ScreenRegion(300, 0, 640, 480))


def test_the_whole_screen_is_captured_and_it_stops_at_once(display: str) -> None:
    source = ScreenSource(None)
    assert source.frames is not None
    source.start(SessionClock())
    frame = source.frames.take(2)
    assert frame is not None and frame.image.shape == (240, 320, 3) and frame.image.dtype == np.uint8
    begun = time.monotonic()
    source.stop()
    assert time.monotonic() - begun < 1.0
