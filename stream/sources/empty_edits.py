"""Empty edits: where the edit list of an MP4 file shows nothing after its media has begun.

FFmpeg takes such an edit for one of the start of the media and gives out that media again. An empty edit before all
media it knows for what it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from av.packet import Packet

from speakerlight.mp4_boxes import Box, boxes, boxes_of

LARGEST_INDEX = 256 << 20
"""Bytes of an index that is searched; that of a day of video has 50 MB."""

EMPTY = -1
"""The media time of an edit that shows nothing."""


class EmptyEdits:
    """The empty edits of the file at ``path``, by track; none where it is no MP4 file, or a damaged one."""

    def __init__(self, path: Path) -> None:
        self._spans: dict[int, list[tuple[float, float]]] = {}
        with suppress(OSError, ValueError, struct.error):
            self._spans = dict(_spans_by_track(path))

    def hold(self, packet: Packet[Any]) -> bool:
        """Whether ``packet`` lies in an empty edit. Those that the next edit is decoded from do not."""
        spans = self._spans.get(packet.stream.id)
        if not spans or packet.pts is None or packet.is_discard:
            return False
        time = float(packet.pts * packet.time_base)
        return any(start <= time < end for start, end in spans)


def _spans_by_track(path: Path) -> Iterator[tuple[int, list[tuple[float, float]]]]:
    """The track's number and, from and to, its empty edits in seconds."""
    with path.open("rb") as file:
        index = next((box for box in boxes_of(file) if box.kind == b"moov"), None)
        if index is None or index.end - index.start > LARGEST_INDEX:
            return
        file.seek(index.start)
        data = file.read(index.end - index.start)
    whole = next(boxes(data, 0, len(data)))
    movie = _header_number(data, _inner(data, whole, b"mvhd"))
    for track in boxes(data, whole.body, whole.end):
        if track.kind == b"trak" and (edits := _inner(data, track, b"edts", b"elst")) is not None:
            yield _header_number(data, _inner(data, track, b"tkhd")), list(_spans(data, edits, movie))


def _inner(data: bytes, box: Box, *path: bytes) -> Box | None:
    found: Box | None = box
    for kind in path:
        found = (
            next((each for each in boxes(data, found.body, found.end) if each.kind == kind), None) if found else None
        )
    return found


def _header_number(data: bytes, header: Box | None) -> int:
    """The number after the times of a movie's header (ticks a second) or of a track's (its id)."""
    if header is None:
        raise ValueError("no header")
    return int(struct.unpack_from(">I", data, header.body + (20 if data[header.body] else 12))[0])


def _spans(data: bytes, edits: Box, ticks_a_second: int) -> Iterator[tuple[float, float]]:
    entry = struct.Struct(">QqI" if data[edits.body] else ">IiI")
    start, has_begun = 0.0, False
    for place in range(edits.body + 8, edits.end - entry.size + 1, entry.size):
        ticks, media_time, _ = entry.unpack_from(data, place)
        end = start + ticks / ticks_a_second
        if media_time == EMPTY and has_begun:
            yield start, end
        start, has_begun = end, has_begun or media_time != EMPTY
