"""A camera that other programs can pick: it shows what the window shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from speakerlight.core.errors import InputError
from speakerlight.core.media import Image
from speakerlight.outputs.output import Output
from speakerlight.scaling import even, fitted

NOMINAL_RATE = 30.0
"""Pictures a second that the camera announces; they are sent when they come."""

TRIED_SIZE = (1280, 720)
"""To see whether there is a device at all, before the first picture tells its size."""

DEVICE_FOLDER = "/dev/"


class VirtualCamera(Output):
    """Sends pictures to the system's virtual camera, in the first picture's size; others are fitted in.

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
            raise InputError(f"{self.option}: no device; the README says how to get one ({why})") from None

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
    # On Linux pyvirtualcam only prints that it cannot write, picture after picture. Elsewhere devices are no files.
    if device.startswith(DEVICE_FOLDER) and not Path(device).exists():
        raise OSError(f"{device} is gone")
