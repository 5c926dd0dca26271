"""A webcam through OpenCV: a thread of its own, the newest frames, stamped when grabbed."""

from __future__ import annotations

import os
import sys

import cv2
import numpy as np

from speakerlight.clock import SessionClock
from speakerlight.core.errors import InputError
from speakerlight.core.media import Frame
from speakerlight.rings import FrameRing
from speakerlight.sources.quiet_libraries import quiet_libraries
from speakerlight.sources.source import ThreadedSource

FRAMES_WAITING = 4
"""Few frames wait, so that a camera is not processed late: an eighth of a second at 30 frames a second."""

SIZE = 1280, 720
RATE = 30
"""What is asked of the camera; it may give something else, and gives less in the dark."""

LARGEST_INDEX = 2**31 - 1
"""OpenCV takes an index as a C int."""

BACKENDS = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}


class CameraSource(ThreadedSource):
    """The camera with an index, or with the path of its device (``/dev/video0``, ``/dev/v4l/by-id/…``).

    Raises InputError where there is none; one that is pulled out is opened again when it is back.
    """

    def __init__(self, camera: int | str) -> None:
        super().__init__(f"camera {camera}", FrameRing(FRAMES_WAITING), has_audio=False)
        self._which = camera
        self._camera: cv2.VideoCapture | None = _opened(camera)

    def stop(self) -> None:
        super().stop()
        if self._thread is None and self._camera is not None:
            self._camera.release()

    def _capture(self, clock: SessionClock) -> None:
        while self._camera is not None:
            try:
                self._grab(self._camera, clock)
            finally:
                self._camera.release()
            if self._stopping.is_set():
                return
            self._camera = self._reopened(lambda: _opened(self._which), f"{self.name} gives no more frames")

    def _grab(self, camera: cv2.VideoCapture, clock: SessionClock) -> None:
        assert self.frames is not None
        while not self._stopping.is_set() and camera.grab():
            grabbed = clock.now()
            whole, image = camera.retrieve()
            if whole:
                self.frames.push(Frame(grabbed, np.asarray(image, np.uint8)))


def _opened(which: int | str) -> cv2.VideoCapture:
    # OpenCV waits ten seconds for a silent V4L2 camera by default, and nothing can end that wait.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
    device = which if isinstance(which, str) else min(which, LARGEST_INDEX)
    with quiet_libraries():
        camera = cv2.VideoCapture(device, BACKENDS.get(sys.platform, cv2.CAP_ANY))
    if not camera.isOpened():
        camera.release()
        raise InputError(
            f"no camera {which}: --list-devices names those there are; try --video demo, or close what else uses it"
        )
    _prepare(camera)
    return camera


def _prepare(camera: cv2.VideoCapture) -> None:
    # DirectShow chooses a raw format, with few frames a second, unless MJPG is asked for before size and rate.
    camera.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    camera.set(cv2.CAP_PROP_FRAME_WIDTH, SIZE[0])
    camera.set(cv2.CAP_PROP_FRAME_HEIGHT, SIZE[1])
    camera.set(cv2.CAP_PROP_FPS, RATE)
    if sys.platform == "linux":
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
