"""Face detection: BlazeFace through MediaPipe, on a whole frame, a search tile or a crop around a tracked face.

BlazeFace's input is 128 × 128 pixels, so small faces in a large frame are missed. ``search_tiles`` divides the frame
into overlapping squares: a face of any size is large enough in one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image

BLAZEFACE_SIDE = 128
"""Side of BlazeFace's input in pixels: larger regions are shrunk before they are passed to MediaPipe."""

_DETECT_SIDE = 192
"""Side to which regions are shrunk: above BLAZEFACE_SIDE, so that MediaPipe's whole-pixel boxes stay fine enough."""

_TILE_FRACTIONS = (1.0, 0.5, 1 / 3)
"""Tile sides as shares of the frame's height: one face in a room, a 3×3 gallery, a 5×5 gallery (measured)."""

_TILE_OVERLAP = 0.4
"""Overlap of neighbouring tiles: a face cut by one tile lies whole in the next."""

Keypoints = npt.NDArray[np.float64]
"""6 × 2, x and y in pixels of the source frame: right eye, left eye, nose tip, mouth centre, right ear, left ear."""

RIGHT_EYE, LEFT_EYE, NOSE, MOUTH = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class Detection:
    """A face detected in one frame. ``score`` in [0, 1] is BlazeFace's own."""

    box: Box
    keypoints: Keypoints
    score: float


@dataclass(frozen=True)
class SearchRegion:
    """A whole-pixel rectangle of the frame, inside it."""

    left: int
    top: int
    width: int
    height: int


class FaceDetector:
    """BlazeFace (short range). Must not be shared between threads.

    Raises InputError when the model file cannot be used.
    """

    def __init__(self, model_file: Path, min_score: float = 0.5) -> None:
        # Imported here: MediaPipe takes about a second to import, and not every use of this package detects faces.
        from mediapipe import Image as MediaPipeImage
        from mediapipe import ImageFormat
        from mediapipe.tasks.python import BaseOptions, vision

        try:
            self._detector = vision.FaceDetector.create_from_options(
                vision.FaceDetectorOptions(
                    base_options=BaseOptions(
                        model_asset_buffer=model_file.read_bytes(), delegate=BaseOptions.Delegate.CPU
                    ),
                    running_mode=vision.RunningMode.IMAGE,
                    min_detection_confidence=min_score,
                )
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"cannot use the face detector's model file {model_file}: delete it and run again"
            ) from error
        _compute_in_caller(self._detector)
        self._wrap: Callable[[Image], Any] = partial(MediaPipeImage, ImageFormat.SRGB)

    def detect(self, image: Image, region: SearchRegion | None = None) -> list[Detection]:
        """Faces in ``region`` of ``image`` (default: all of it), in pixels of ``image``."""
        height, width = image.shape[:2]
        region = region or SearchRegion(0, 0, width, height)
        part = image[region.top : region.top + region.height, region.left : region.left + region.width]
        longest = max(region.width, region.height)
        if longest > _DETECT_SIDE:
            shrink = _DETECT_SIDE / longest
            size = (max(1, round(region.width * shrink)), max(1, round(region.height * shrink)))
            part = shrunk(part, size)
        found = self._detector.detect(self._wrap(np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2RGB), np.uint8)))
        scale_x, scale_y = region.width / part.shape[1], region.height / part.shape[0]
        detections = []
        for face in found.detections:
            box = face.bounding_box
            points = np.array(
                [(p.x * region.width + region.left, p.y * region.height + region.top) for p in face.keypoints]
            )
            detections.append(
                Detection(
                    Box(
                        region.left + box.origin_x * scale_x,
                        region.top + box.origin_y * scale_y,
                        box.width * scale_x,
                        box.height * scale_y,
                    ),
                    points,
                    float(face.categories[0].score),
                )
            )
        return detections

    def close(self) -> None:
        """Free MediaPipe's graph and its threads."""
        self._detector.close()


def _compute_in_caller(detector: Any) -> None:
    """Make a MediaPipe detector compute in the calling thread.

    By default it dispatches each call to a thread of its own, so that several threads can share it. Without that, a
    detection takes nine tenths of the time, and two thirds where all cores are busy (measured). No public option turns
    it off; tests/core/faces/test_detection.py fails when the private names used here are gone, which does no harm.
    """
    signatures = getattr(import_module("mediapipe.tasks.python.vision.face_detector"), "_CTYPES_SIGNATURES", ())
    calls = getattr(detector, "_lib", None)
    library = getattr(calls, "_lib", None)
    for signature in signatures if library is not None else ():
        setattr(calls, signature.func_name, signature.create_python_wrapper(library, _InlineExecutor()))


class _InlineExecutor(Executor):
    """An executor without threads: runs what is submitted at once."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def shrunk(image: Image, size: tuple[int, int]) -> Image:
    """``image`` at ``size`` (width, height; at most its own), close to an average of whole pixels.

    OpenCV averages fast only by a factor of two: larger factors first use bilinear sampling to twice the size. This is
    up to ten times as fast, and was half the cost of detection in a large region.
    """
    if image.shape[1] > 2 * size[0] and image.shape[0] > 2 * size[1]:
        image = np.asarray(cv2.resize(image, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR), np.uint8)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def region_around(box: Box, factor: float, width: int, height: int) -> SearchRegion:
    """The square of side ``factor`` × the box's longer side around its centre, clipped to the frame."""
    side = factor * max(box.width, box.height)
    centre_x, centre_y = box.centre
    # A face may be predicted outside the frame: a sliver at the edge is searched then, never an empty region.
    left, top = (min(max(0, int(c - side / 2)), end - 1) for c, end in ((centre_x, width), (centre_y, height)))
    right, bottom = (min(max(1, int(c + side / 2) + 1), end) for c, end in ((centre_x, width), (centre_y, height)))
    return SearchRegion(left, top, max(1, right - left), max(1, bottom - top))


def search_tiles(width: int, height: int) -> list[SearchRegion]:
    """Regions to search for new faces in a ``width`` × ``height`` frame: the frame, then squares, largest first.

    Squares smaller than BlazeFace's input are dropped: they would only be enlarged.
    """
    tiles = [SearchRegion(0, 0, width, height)]
    for fraction in _TILE_FRACTIONS:
        side = round(fraction * min(width, height))
        if side < BLAZEFACE_SIDE or (side == width and side == height):
            continue
        tiles += [SearchRegion(x, y, side, side) for y in _steps(height, side) for x in _steps(width, side)]
    return tiles


def _steps(length: int, side: int) -> list[int]:
    count = 1 + int(np.ceil(max(0, length - side) / (side * (1 - _TILE_OVERLAP))))
    return [round(x) for x in np.linspace(0, length - side, count)]
