"""Pipe input: what FFmpeg reads of a pipe. An MP4 file with its index at its end goes to disk first."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Callable
from os import fstat
from typing import BinaryIO

from speakerlight.sources.not_media import HEAD_BYTES

BOX_HEADER = 8

SKIPPED = (b"ftyp", b"free", b"skip", b"wide", b"uuid", b"pdin")
"""Boxes that may stand before the index (moov) or the media (mdat)."""

LARGEST_SKIPPED = 1 << 20

UNREAD_BYTES = 1 << 20
"""So much may follow the media in a pipe: indexes and metadata, which a single pass has no use for."""


class PipeInput:
    """The bytes of ``pipe`` after ``head``, which was read from it already."""

    def __init__(self, pipe: BinaryIO, head: bytes) -> None:
        self._pipe, self._next = pipe, head
        self._given = 0
        self.head = b""
        """The first bytes that were read, at most HEAD_BYTES."""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, as soon as there are any; none at the end."""
        if self._next:
            given, self._next = self._next[:size], self._next[size:]
        else:
            given = self._pipe.read(size) or b""
        self._given += len(given)
        self.head += given[: HEAD_BYTES - len(self.head)]
        return given

    def has_more(self, after: int) -> bool:
        """Whether more follows byte ``after`` than may be left unread. Waits for the pipe's end or for so much."""
        while self._given - after <= UNREAD_BYTES and self.read(1 << 16):
            pass
        return self._given - after > UNREAD_BYTES


def pipe_input(pipe: BinaryIO, report: Callable[[str], None]) -> PipeInput | BinaryIO:
    """What FFmpeg is to read for the contents of ``pipe``, opened without a buffer. Raises OSError.

    That is the pipe; itself where it is a file (``< a.mp4``); or a temporary file, once all of an MP4 file has come
    whose index follows its media, which ``report`` gets a line about.
    """
    if stat.S_ISREG(fstat(pipe.fileno()).st_mode):
        return pipe
    head, kind = _head(pipe)
    if kind != b"mdat":
        return PipeInput(pipe, head)
    report("an MP4 file with its index at its end: it is stored until that has come")
    spool = tempfile.TemporaryFile()  # noqa: SIM115  # deleted when it is closed, with the container
    spool.write(head)
    shutil.copyfileobj(pipe, spool, 1 << 20)
    spool.seek(0)
    return spool


def _head(pipe: BinaryIO) -> tuple[bytes, bytes]:
    """The first bytes, up to the type of the first box that is not skipped; that type, empty where it is no MP4."""
    head = b""
    while True:
        header = _exactly(pipe, BOX_HEADER)
        head += header
        size, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind not in SKIPPED or not BOX_HEADER <= size <= LARGEST_SKIPPED:
            is_mp4 = len(head) > BOX_HEADER or kind == b"mdat"
            return head, kind if is_mp4 else b""
        head += _exactly(pipe, size - BOX_HEADER)


def _exactly(pipe: BinaryIO, size: int) -> bytes:
    """``size`` bytes, fewer at the end."""
    parts: list[bytes] = []
    while size > 0 and (part := pipe.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
