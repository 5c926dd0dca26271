"""MP4 boxes: where they lie in a file, or in a part of one. ISO/IEC 14496-12 defines them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

LARGE_HEADER = 16
"""Bytes of a box header with a 64-bit size."""


@dataclass(frozen=True)
class Box:
    """Where the header, the content and what follows the box begin."""

    kind: bytes
    start: int
    body: int
    end: int


def boxes_of(file: IO[bytes]) -> Iterator[Box]:
    """The whole boxes at a file's top level."""
    size = file.seek(0, os.SEEK_END)
    place = 0
    while place + LARGE_HEADER <= size:
        file.seek(place)
        box = _box(file.read(LARGE_HEADER), 0, place)
        if box is None or box.end > size:
            return
        yield box
        place = box.end


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes in a part of ``data``."""
    while start + 8 <= end and (box := _box(data, start, start)) is not None:
        yield box
        start = box.end


def _box(data: bytes, place: int, start: int) -> Box | None:
    """The box whose header is at ``place`` of ``data`` and at ``start`` of the file; None for one without an end."""
    size, kind = struct.unpack_from(">I4s", data, place)
    body = start + 8
    if size == 1:
        (size,) = struct.unpack_from(">Q", data, place + 8)
        body = start + LARGE_HEADER
    return Box(kind, start, body, start + size) if size >= body - start else None
