"""The virtual camera, on a pyvirtualcam that is made up: colours, sizes, and what is missing or goes away."""

from __future__ import annotations

import sys
import threading
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from speakerlight import command_line
from speakerlight.core.errors import InputError
from speakerlight.core.media import Image
from speakerlight.outputs.background import Background
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.virtual_camera import TRIED_SIZE, VirtualCamera
from tests.stream.sources.conftest import Clip
from tests.stream.standin import stand_in
from tests.stream.test_live import Camera, live


class PixelFormat(Enum):
    RGB = "raw "
    BGR = "24BG"


class Device:
    """Stands in for pyvirtualcam.Camera and, like it, refuses frames of another size. Keeps what a viewer sees."""

    made: list[Device]
    device = "Made-up Virtual Camera"

    def __init__(self, width: int, height: int, fps: float, *, fmt: PixelFormat = PixelFormat.RGB) -> None:
        assert width % 2 == height % 2 == 0
        self.size, self.is_bgr, self.is_closed = (width, height), fmt is PixelFormat.BGR, False
        self.rgb: list[Image] = []
        self.made.append(self)

    def send(self, image: Image) -> None:
        assert not self.is_closed and image.flags.c_contiguous and image.dtype == np.uint8
        if image.shape != (self.size[1], self.size[0], 3):
            raise ValueError(f"unexpected frame shape: {image.shape}")
        self.rgb.append(image[..., ::-1] if self.is_bgr else image)

    def close(self) -> None:
        self.is_closed = True


class NoDevice(Device):
    def __init__(self, *given: object, **named: object) -> None:
        raise RuntimeError("'obs' backend: not installed\n'unitycapture' backend: not installed")


def install(monkeypatch: pytest.MonkeyPatch, camera: type[Device]) -> list[Device]:
    """Puts the made-up module in place; gives the cameras that are opened, in order."""
    Device.made = []
    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=camera, PixelFormat=PixelFormat))
    return Device.made


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    return install(monkeypatch, Device)


def blue(width: int, height: int) -> Image:
    return np.full((height, width, 3), (255, 0, 10), np.uint8)


def test_it_is_tried_before_the_run_and_opened_with_the_first_frame(devices: list[Device]) -> None:
    camera = VirtualCamera()
    assert [(device.size, device.is_closed) for device in devices] == [(TRIED_SIZE, True)]
    camera.shown(blue(640, 360))
    assert devices[1].size == (640, 360) and len(devices[1].rgb) == 1
    camera.close()
    camera.close()
    assert devices[1].is_closed


def test_blue_is_blue(devices: list[Device]) -> None:
    camera = VirtualCamera()
    camera.shown(blue(64, 36))
    assert (devices[1].rgb[0] == (10, 0, 255)).all()


def test_a_frame_of_another_size_is_fitted_in_with_its_shape_kept(devices: list[Device]) -> None:
    camera = VirtualCamera()
    camera.shown(blue(640, 360))
    camera.shown(blue(360, 360))
    camera.shown(blue(1280, 720))
    assert len(devices) == 2
    _, square, large = devices[1].rgb
    lit = np.asarray(square.any(axis=-1))
    assert lit[:, 140:500].all() and not lit[:, :140].any() and not lit[:, 500:].any()
    assert (large == (10, 0, 255)).all()


def test_odd_sizes_are_made_even(devices: list[Device]) -> None:
    camera = VirtualCamera()
    camera.shown(blue(641, 359))
    assert devices[1].size == (642, 360)
    assert (devices[1].rgb[0] == (10, 0, 255)).all()


def test_what_is_not_contiguous_is_survived(devices: list[Device]) -> None:
    camera = VirtualCamera()
    camera.shown(blue(128, 36)[:, ::2])
    assert len(devices[1].rgb) == 1


def test_a_live_run_shows_there_what_its_window_shows(devices: list[Device]) -> None:
    windowed: list[Image] = []
    window = SimpleNamespace(show=windowed.append, keys=list)
    output = Background(VirtualCamera())
    run = live(Camera(), stand_in(False), output, window=window, duration_seconds=0.6)  # type: ignore[arg-type]
    run.run(threading.Event())
    output.close()
    sent = [image[..., ::-1] for image in devices[1].rgb]
    assert len(sent) > 5
    assert all(any((image == shown).all() for shown in windowed) for image in sent)
    assert (sent[-1] == windowed[-1]).all()


def test_a_slow_device_costs_frames_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    class Slow(Device):
        def send(self, image: Image) -> None:
            go.wait(10)
            super().send(image)

    devices = install(monkeypatch, Slow)
    output = Background(VirtualCamera())
    for grey in range(100):
        output.shown(np.full((36, 64, 3), grey, np.uint8))
    go.set()
    output.close()
    assert devices[1].rgb[-1][0, 0, 0] == 99, "the newest is not lost"
    assert len(devices[1].rgb) <= 3
    assert len(devices[1].rgb) + output.dropped_frames == 100


@pytest.mark.parametrize("raises", [True, False], ids=["it says so", "its file is gone"])
def test_a_device_that_goes_away_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, raises: bool) -> None:
    node = tmp_path / "video9"
    node.touch()

    class Leaving(Device):
        device = str(node)

        def send(self, image: Image) -> None:
            super().send(image)
            if len(self.rgb) == 2:
                node.unlink()
                if raises:
                    raise OSError(f"{node} is gone")

    devices = install(monkeypatch, Leaving)
    monkeypatch.setattr("speakerlight.outputs.virtual_camera.DEVICE_FOLDER", str(tmp_path))
    lines: list[str] = []
    hub = OutputHub([VirtualCamera()], lines.append)
    for _ in range(10):
        hub.shown(blue(64, 36))
    assert lines == [f"--virtual-camera stopped: {node} is gone"]
    assert len(devices[1].rgb) == 2 and devices[1].is_closed


def test_without_the_extra_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(InputError, match=r"^--virtual-camera needs pyvirtualcam: pip install '\.\[camera\]'"):
        VirtualCamera()


def test_without_a_device_there_is_one_line_and_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, NoDevice)
    clip = Clip().write(tmp_path / "clip.mkv")
    assert command_line.main(["--video", str(clip), "--no-window", "--virtual-camera"]) == 2
    lines = capfd.readouterr().err
    assert lines.count("\n") == 1
    assert lines.startswith("speakerlight: --virtual-camera: no device") and "'obs' backend: not installed" in lines
