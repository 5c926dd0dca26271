from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.core.errors import InputError
from speakerlight.sources import camera
from speakerlight.sources.camera import CameraSource
from speakerlight.sources.source import SourceState


class FakeCamera:
    """A camera at 100 frames a second that shows the number of the frame; ``plugged`` is its cable."""

    plugged = True
    asked: list[int]
    opened = 0

    def __init__(self, index: int, backend: int) -> None:
        self.number = 0
        type(self).opened += self.plugged

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return self.plugged

    def set(self, name: int, value: float) -> bool:
        self.asked.append(name)
        return True

    def grab(self) -> bool:
        time.sleep(0.01)
        self.number += 1
        return self.plugged

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        if self.number % 5 == 0:
            return False, None
        return True, np.full((4, 6, 3), self.number % 256, np.uint8)

    def release(self) -> None:
        pass


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    FakeCamera.plugged, FakeCamera.asked, FakeCamera.opened = True, [], 0
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    return FakeCamera


def test_frames_are_stamped_when_grabbed_and_a_broken_one_is_dropped() -> None:
    source, clock = CameraSource(0), SessionClock()
    assert source.frames is not None and not source.has_audio
    source.start(clock)
    last = -1.0
    for _ in range(20):
        frame = source.frames.take(1)
        assert frame is not None and last < frame.time <= clock.now()
        assert frame.image[0, 0, 0] % 5
        last = frame.time
    source.stop()
    assert source.state is SourceState.ENDED


def test_only_the_newest_frames_wait_for_a_slow_reader() -> None:
    source, clock = CameraSource(0), SessionClock()
    assert source.frames is not None
    source.start(clock)
    time.sleep(0.4)
    newest, frame = source.frames.newest(), source.frames.take(0)
    source.stop()
    assert newest is not None and frame is not None and newest.time - frame.time < 0.2
    assert source.frames.dropped > 10


def test_the_pixel_format_is_asked_for_before_size_and_rate(plugged: type[FakeCamera]) -> None:
    CameraSource(0).stop()
    assert plugged.asked[0] == cv2.CAP_PROP_FOURCC


def test_a_camera_that_is_pulled_out_is_opened_again(
    plugged: type[FakeCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = CameraSource(0)
    assert source.frames is not None
    source.start(SessionClock())
    assert source.frames.take(1) is not None
    plugged.plugged = False
    while source.state is not SourceState.RECONNECTING:
        time.sleep(0.01)
    assert source.trouble is not None and source.trouble.startswith("camera 0 gives no more frames")
    plugged.plugged = True
    while source.state is not SourceState.RUNNING:  # type: ignore[comparison-overlap]
        time.sleep(0.01)
    assert source.trouble is None and plugged.opened == 2
    source.stop()


def test_no_camera_is_one_clear_line(plugged: type[FakeCamera]) -> None:
    plugged.plugged = False
    with pytest.raises(InputError, match=r"no camera 3: .*--video demo"):
        CameraSource(3)


def test_an_index_beyond_any_integer_is_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(InputError, match="no camera 99999999999999999999: --list-devices"):
        CameraSource(99999999999999999999)


def test_opencv_is_quiet_about_a_camera_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    with pytest.raises(InputError):
        camera.CameraSource(97)
    assert capfd.readouterr() == ("", "")
