"""WAV length: whether a WAV file holds more audio than its header states.

A recorder that crashed leaves the length of some moment before, one that wrote more than 4 GiB what was left of a
32-bit number.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

MOST_CHUNKS = 1000


def understates_length(path: Path) -> bool:
    """Whether samples go on after the stated end of a WAV file's audio, for a second or more."""
    with suppress(OSError, struct.error), path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return False
        rate = 0
        for _ in range(MOST_CHUNKS):
            kind, size = struct.unpack("<4sI", file.read(8))
            if kind == b"data":
                after = file.seek(size, 1)
                is_chunk = all(0x20 <= byte < 0x7F for byte in file.read(4))
                return size > 0 and not is_chunk and path.stat().st_size - after > rate
            if kind == b"fmt ":
                rate = struct.unpack("<8xI", file.read(12))[0]
                size -= 12
            file.seek(size + size % 2, 1)
    return False
