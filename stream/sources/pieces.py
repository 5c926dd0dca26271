"""Joined files: where the next recording begins in a file that several were appended to (``cat a.flv b.flv``).

FFmpeg reads MPEG-TS and Matroska on across such a joint. FLV it reads to the end of the first recording, Ogg to where
the codec changes; an MP4 file's index knows its own media alone, and after a second index fragments are decoded
wrongly.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av.error

FLV = b"FLV\x01"
FLV_HEADER_END = b"\0\0\0\x09\0\0\0\0"
"""After the signature and a byte of flags: the header's length, and the length of no tag before."""

OGG = b"OggS"
OGG_START = b"OggS\0\x02"
"""A page that begins a stream: version 0, and the flag of a first page."""

OTHER_CODECS = (av.error.ArgumentError, av.error.PatchWelcomeError)
"""What FFmpeg raises where the next recording in an Ogg file has other codecs; damage raises other errors."""

MP4 = b"ftyp"

MOST_BOXES = 100_000
"""Boxes of an MP4 file that are looked at: hours of fragments. Further joints are not found."""


def next_piece(path: Path, start: int, reached: int | None = None) -> int | None:
    """Offset of the recording after that which begins at byte ``start``; None where there is none, or of other formats.

    ``reached``: the end of the media read so far, after which FLV and Ogg files are searched; None: nothing was
    read yet, and the index of an MP4 file is all there is to go by.
    """
    try:
        with path.open("rb") as file:
            kind = file.read(4)
            if kind not in (FLV, OGG):
                return _next_mp4(file, start)
            if reached is None:
                return None
            return _next_flv(file, reached) if kind == FLV else _next_ogg(file, reached)
    except (OSError, ValueError):  # no file that can be mapped; opening it reports what is wrong
        return None


def _next_mp4(file: BinaryIO, start: int) -> int | None:
    file.seek(start + 4)
    return next((place for place in _mp4_starts(file) if place > start), None) if file.read(4) == MP4 else None


def _mp4_starts(file: BinaryIO) -> Iterator[int]:
    """Where a file type box begins: the first box of every recording."""
    size = file.seek(0, 2)
    place = 0
    for _ in range(MOST_BOXES):
        if place + 8 > size:
            return
        file.seek(place)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if header[4:8] == MP4:
            yield place
        if length < 8:  # 0: to the end of the file; else damaged
            return
        place += length


def _next_ogg(file: BinaryIO, after: int) -> int | None:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(OGG_START, max(after, 1))
    return None if place < 0 else place


def _next_flv(file: BinaryIO, after: int) -> int | None:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(FLV, max(after, 1))
        while place >= 0:
            if content[place + 5 : place + 13] == FLV_HEADER_END:
                return place
            place = content.find(FLV, place + 1)
    return None
