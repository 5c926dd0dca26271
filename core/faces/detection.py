"""Face detection: BlazeFace, on a whole frame, a search tile or a crop around a tracked face.

BlazeFace's input is 128 × 128 pixels, so small faces in a large frame are missed. ``search_tiles`` divides the frame
into overlapping squares: a face of any size is large enough in one of them.

The network's file is MediaPipe's, and so are the steps before and after it. OpenVINO runs it: MediaPipe's graph takes
twice as long for a region, in threads of its own, and half a second to import.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image

BLAZEFACE_SIDE = 128
"""Side of BlazeFace's input in pixels."""

_DETECT_SIDE = 192
"""Side to which larger regions are averaged before they are sampled for BlazeFace. Boxes are whole pixels of this size,
as MediaPipe's are, with which tracking and cuts were measured."""

_GRIDS = ((16, 2), (8, 6))
"""BlazeFace's anchors: cells along a side of the input, and anchors in each cell."""

_SAME_FACE_OVERLAP = 0.3
"""Intersection over union above which detections of one pass are averaged to one face (MediaPipe's)."""

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
        # Imported here: OpenVINO takes a while to import, and not every use of this package detects faces.
        from speakerlight.core.models.openvino_graph import image_network

        try:
            self._network = image_network(model_file)
            self._network(np.zeros((BLAZEFACE_SIDE, BLAZEFACE_SIDE, 3), np.uint8))
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"cannot use the face detector's model file {model_file}: delete it and run again"
            ) from error
        self._min_logit = math.log(min_score / (1 - min_score))
        self._anchors = _anchors()

    def detect(self, image: Image, region: SearchRegion | None = None) -> list[Detection]:
        """Faces in ``region`` of ``image`` (default: all of it), in pixels of ``image``."""
        height, width = image.shape[:2]
        region = region or SearchRegion(0, 0, width, height)
        part = image[region.top : region.top + region.height, region.left : region.left + region.width]
        longest = max(region.width, region.height)
        if longest > _DETECT_SIDE:
            shrink = _DETECT_SIDE / longest
            part = shrunk(part, (max(1, round(region.width * shrink)), max(1, round(region.height * shrink))))
        # In the middle of the input, with black bars where the region is no square.
        scale = BLAZEFACE_SIDE / max(part.shape[:2])
        left, top = ((BLAZEFACE_SIDE - side * scale) / 2 for side in (part.shape[1], part.shape[0]))
        to_input = np.array([[scale, 0, left], [0, scale, top]])
        # Sampled where MediaPipe samples: cv2.resize, half a pixel aside, moves keypoints by 0.012 face widths.
        given = cv2.warpAffine(part, to_input, (BLAZEFACE_SIDE, BLAZEFACE_SIDE), flags=cv2.INTER_LINEAR)
        places, logits = self._network(np.asarray(given, np.uint8))
        found = np.flatnonzero(logits[0, :, 0] >= self._min_logit)
        if not len(found):
            return []
        scores = 1 / (1 + np.exp(-logits[0, found, 0].astype(np.float64)))
        points = (_points(places[0, found], self._anchors[found]) - (left, top)) / scale
        scale_x, scale_y = region.width / part.shape[1], region.height / part.shape[0]
        return [
            Detection(
                Box(
                    region.left + max(0, int(box[0, 0])) * scale_x,
                    region.top + max(0, int(box[0, 1])) * scale_y,
                    int(box[1, 0] - box[0, 0]) * scale_x,
                    int(box[1, 1] - box[0, 1]) * scale_y,
                ),
                box[2:] * (scale_x, scale_y) + (region.left, region.top),
                score,
            )
            for box, score in _averaged(points, scores)
        ]


def _anchors() -> npt.NDArray[np.float64]:
    """Centres of BlazeFace's anchors in pixels of its input, [896, 2], x and y."""
    rows = []
    for cells, count in _GRIDS:
        centres = (np.arange(cells) + 0.5) * BLAZEFACE_SIDE / cells
        y, x = np.meshgrid(centres, centres, indexing="ij")
        rows.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(rows)


def _points(places: npt.NDArray[np.float32], anchors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """BlazeFace's output rows [N, 16] as corners of the box and six keypoints, in pixels of its input: [N, 8, 2]."""
    points = places.reshape(-1, 8, 2) + anchors[:, None]
    half = places[:, 2:4] / 2
    points[:, 1] = points[:, 0] + half
    points[:, 0] -= half
    return points


def _averaged(
    points: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> Iterator[tuple[npt.NDArray[np.float64], float]]:
    """The mean of detections that overlap, weighted by their scores, with the best one's score; best ones first."""
    order = np.argsort(-scores, kind="stable")
    points, scores = points[order], scores[order]
    while len(points):
        inside = np.minimum(points[0, 1], points[:, 1]) - np.maximum(points[0, 0], points[:, 0])
        shared, areas = inside.clip(0).prod(axis=1), (points[:, 1] - points[:, 0]).prod(axis=1)
        near = shared > _SAME_FACE_OVERLAP * (areas + areas[0] - shared)
        near[0] = True
        yield np.tensordot(scores[near] / scores[near].sum(), points[near], 1), float(scores[0])
        points, scores = points[~near], scores[~near]


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
