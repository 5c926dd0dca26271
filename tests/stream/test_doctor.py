"""--doctor: the page names what a bug report needs, and its verdict is that of the run it stands for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from speakerlight import doctor as module
from speakerlight.core.errors import InputError
from speakerlight.core.media import Frame
from speakerlight.doctor import doctor
from speakerlight.model_cache import CACHE_VARIABLE, fetch
from speakerlight.model_files import BLAZEFACE_SHORT
from speakerlight.rings import FrameRing


def test_the_page_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        path = fetch(BLAZEFACE_SHORT)
    except InputError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(module, "cameras", list)
    monkeypatch.setenv(CACHE_VARIABLE, str(path.parent))
    monkeypatch.setattr(Path, "home", lambda: path.parent)
    page, is_ready = doctor()
    assert is_ready and page.splitlines()[-1].split() == ["result", "ready"]
    assert f"blazeface_short: ~/{path.name}" in page and str(path.parent) not in page
    for title in ("versions", "processor", "kernels", "models", "cameras", "microphones", "display", "extras", "demo"):
        assert sum(line.startswith(title) for line in page.splitlines()) == 1, title
    assert "numpy 2" in page and "capture to overlay" in page and "web: " in page


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo ran, and a camera is there."""
    monkeypatch.setattr(module, "_demo", lambda: ("75 ticks", None))
    monkeypatch.setattr(module, "cameras", lambda: ["0: Front"])
    monkeypatch.setattr(module, "CameraSource", StandInCamera)


class StandInCamera:
    """Has delivered 20 frames at 12.5 a second."""

    def __init__(self, index: int) -> None:
        self.frames = FrameRing(100)
        for number in range(20):
            self.frames.push(Frame(number / 12.5, np.zeros((48, 64, 3), np.uint8)))

    def start(self, clock: object) -> None: ...
    def stop(self) -> None: ...


def test_a_camera_needs_a_microphone(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "microphones", lambda: ["1: Desk (2 channels, 44100 Hz)"])
    page, is_ready = doctor()
    assert is_ready and "0: Front: 64×48, 12.5 frames a second" in page and "44100 Hz" in page

    def missing() -> list[str]:
        raise InputError("no PortAudio library")

    for found in (missing, list):
        monkeypatch.setattr(module, "microphones", found)
        page, is_ready = doctor()
        assert not is_ready and "not ready: no" in page


def test_a_camera_in_use_or_mute_is_named(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(index: int) -> None:
        raise InputError("no camera 0")

    monkeypatch.setattr(module, "microphones", lambda: ["1: Desk"])
    monkeypatch.setattr(module, "CameraSource", busy)
    assert "0: Front: cannot be opened" in doctor()[0]
    monkeypatch.setattr(module, "CAMERA_SECONDS", 0.0)
    mute = SimpleNamespace(frames=FrameRing(1), start=lambda clock: None, stop=lambda: None)
    monkeypatch.setattr(module, "CameraSource", lambda index: mute)
    assert "0: Front: delivers no frames" in doctor()[0]


def test_what_keeps_the_demo_from_running_is_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object, **named: object) -> None:
        raise InputError("cannot fetch the model")

    monkeypatch.setattr("speakerlight.session.run", refused)
    monkeypatch.setattr(module, "cameras", list)
    page, is_ready = doctor()
    assert not is_ready and page.endswith("not ready: cannot fetch the model")
