"""Virtual camera: a camera for other programs that shows what the window shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from speakerlight.core.errors import InputError
from speakerlight.core.media import Image
from speakerlight.outputs.output import Output
from speakerlight.scaling import even, fitted

NOMINAL_RATE = 30.0
"""Frames a second that the camera announces; each is sent when it arrives."""

TRIED_SIZE = (1280, 720)
"""Frame size for checking that there is a device, before the size of the first frame is known."""

DEVICE_FOLDER = "/dev/"


class VirtualCamera(Output):
    """Sends frames to the system's virtual camera, in the first frame's size; others are fitted in.

    Raises InputError when pyvirtualcam or the system's device is missing.
    """

    option = "--virtual-camera"
    takes_shown = True

    def __init__(self) -> None:
        self._camera: Any = None
        self._size = (0, 0)
        try:
            _opened(TRIED_SIZE).close()
        except ImportError:
            raise InputError(f"{self.option} needs pyvirtualcam: pip install '.[camera]' in the checkout") from None
        except Exception as error:
            why = " ".join(str(error).split())
            raise InputError(f"{self.option}: no device; see the README on how to get one ({why})") from None

    def shown(self, image: Image) -> None:
        if self._camera is None:
            self._size = even((image.shape[1], image.shape[0]))
            self._camera = _opened(self._size)
        _check_there(self._camera.device)
        self._camera.send(np.ascontiguousarray(fitted(image, self._size)))

    def close(self) -> None:
        if self._camera is not None:
            self._camera.close()
            self._camera = None


def _opened(size: tuple[int, int]) -> Any:
    import pyvirtualcam

    return pyvirtualcam.Camera(*size, NOMINAL_RATE, fmt=pyvirtualcam.PixelFormat.BGR)


def _check_there(device: str) -> None:
    # On Linux pyvirtualcam only prints an error for every frame that it cannot write. Elsewhere devices are not files.
    if device.startswith(DEVICE_FOLDER) and not Path(device).exists():
        raise OSError(f"{device} is gone")
