"""Display geometry: how a decoded frame is meant to be shown, as an upright BGR image with square pixels.

Rotation and mirroring come from the display matrix, the pixel aspect from the container or the codec. The first frame
decides the size of all: a frame of another size and the same shape is scaled to it, one of another shape gets black
bars. Coordinates of faces thus keep their meaning when a source changes its resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from speakerlight.core.media import Image
from speakerlight.scaling import fitted

WIDEST_PIXEL = Fraction(4)
"""Pixels wider or higher than this are damaged metadata: anamorphic formats lie between 8:9 and 2:1."""

SAME_SHAPE = 0.02
"""Proportions that differ by less are one shape: coded sizes are rounded to whole macroblocks."""

MATRIX_NUMBERS = 9


@dataclass(frozen=True)
class Orientation:
    """Exchange rows and columns first (``transposed``), then mirror."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation | None:
        """As the frame's display matrix defines, to whole quarter turns; None without one."""
        try:
            data = frame.side_data.get("DISPLAYMATRIX")
        except (
            ValueError
        ):  # PyAV reads none where it does not know all, such as EXIF: the turn without a mirror is left
            return _QUARTER_TURNS[round(frame.rotation / 90) % 4]
        if not isinstance(data, Buffer) or data.buffer_size < 4 * MATRIX_NUMBERS:
            return None
        # A row (x, y) times the matrix (a b, c d) is its place on show.
        a, b, _, c, d = np.frombuffer(memoryview(data), np.int32, 5).tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def turned(self, image: Image) -> Image:
        if self.transposed:
            image = image.transpose(1, 0, 2)
        return np.ascontiguousarray(image[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1])


_UPRIGHT = Orientation()

_QUARTER_TURNS = (
    _UPRIGHT,
    Orientation(transposed=True, mirrored_y=True),
    Orientation(mirrored_x=True, mirrored_y=True),
    Orientation(transposed=True, mirrored_x=True),
)
"""By the number of quarter turns counter-clockwise that a frame is to be shown with."""


class FrameConverter:
    """Frames of one stream as images of one size, uint8, height × width × 3, BGR.

    ``stream``: where the pixel aspect comes from; None: pixels are square.
    """

    def __init__(self, stream: VideoStream | None = None) -> None:
        self._stream = stream
        self._orientation = _UPRIGHT
        self._is_sequence_new = False
        self._coded: tuple[int, int, Fraction | None] | None = None
        self.size: tuple[int, int] | None = None
        """Width and height of every image in pixels, once the first frame was converted or measured."""

    def measure(self, frame: VideoFrame) -> tuple[int, int]:
        """The size of all images, which the first frame decides."""
        if self.size is None:
            width, height = self._shown_size(frame)
            is_transposed = (Orientation.of(frame) or _UPRIGHT).transposed
            self.size = (height, width) if is_transposed else (width, height)
        return self.size

    def make(self, frame: VideoFrame) -> Image:
        """The image of ``frame``."""
        size, orientation = self.measure(frame), self._followed(frame)
        width, height = self._shown_size(frame)
        wanted = size[::-1] if orientation.transposed else size
        if abs(width * wanted[1] / (height * wanted[0]) - 1) < SAME_SHAPE:
            width, height = wanted
        # With as many threads as FFmpeg likes, handing over costs more than the conversion (measured on two cores).
        image = frame.reformat(width=width, height=height, format="bgr24", threads=1).to_ndarray()
        return fitted(orientation.turned(np.asarray(image, np.uint8)), size)

    def _followed(self, frame: VideoFrame) -> Orientation:
        """The orientation of the next frame.

        What H.264 and HEVC carry holds until another sequence begins; some encoders put it behind the key frame.
        """
        given = Orientation.of(frame)
        if given is not None or self._is_sequence_new:
            self._orientation = given or _UPRIGHT
        self._is_sequence_new = given is None and bool(frame.key_frame)
        return self._orientation

    def _shown_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height with square pixels, before turning; the smaller side grows, so no detail is lost."""
        aspect = self._pixel_aspect(frame)
        if aspect >= 1:
            return round(frame.width * aspect), frame.height
        return frame.width, round(frame.height / aspect)

    def _pixel_aspect(self, frame: VideoFrame) -> Fraction:
        """The container's word counts before the codec's, as players do it, until the codec changes its size or
        aspect."""
        if self._stream is None:
            return Fraction(1)
        context = self._stream.codec_context.sample_aspect_ratio
        coded = frame.width, frame.height, context
        self._coded = self._coded or coded
        given = self._stream.sample_aspect_ratio if coded == self._coded else context
        aspect = given or context or Fraction(1)
        return aspect if 1 / WIDEST_PIXEL <= aspect <= WIDEST_PIXEL else Fraction(1)
