"""MP4 index: turns a fragmented MP4 file into a plain one, in place, from the headers of its fragments.

While a recording runs, its fragments need no index in memory, however long it gets. Afterwards one pass over the
fragments' headers gives the sample tables, which are appended; then a single write of 16 bytes makes the file plain:
everything between the file type and the new index becomes media data. A crash leaves the file as it was before.
ISO/IEC 14496-12 defines the boxes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from speakerlight.mp4_boxes import Box, boxes, boxes_of

Numbers = npt.NDArray[np.uint32]

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf"}
NOT_SYNC = 0x10000
"""Sample flag: not a key frame."""
DURATION_PLACES = {b"mvhd": 16, b"tkhd": 20, b"mdhd": 16}
"""Offset of the duration in version 0 of each box, which is what FFmpeg writes for a file that begins empty."""


@dataclass(frozen=True, eq=False)
class _Run:
    """Contiguous samples, ``offset`` bytes from the fragment's base."""

    offset: int
    sizes: Numbers
    durations: Numbers
    is_sync: npt.NDArray[np.bool_]


@dataclass
class _Track:
    """Sample tables of one track, a run (samples side by side in the file) at a time. Durations in its time scale."""

    sizes: list[Numbers] = field(default_factory=list)
    durations: list[Numbers] = field(default_factory=list)
    sync: list[Numbers] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    samples: int = 0
    duration: int = 0
    first_time: int | None = None

    def add(self, time: int | None, base: int, run: _Run) -> None:
        """Add a run. ``time``: of its first sample, from the fragment; a gap before it lengthens the last sample."""
        if time is not None:
            self.first_time = time if self.first_time is None else self.first_time
            gap = time - self.first_time - self.duration
            if self.durations and -int(self.durations[-1][-1]) < gap:
                self.durations[-1][-1] += gap
                self.duration += gap
        self.sync.append((np.flatnonzero(run.is_sync) + self.samples + 1).astype(np.uint32))
        self.sizes.append(run.sizes)
        self.durations.append(run.durations)
        self.offsets.append(base + run.offset)
        self.samples += len(run.sizes)
        self.duration += int(run.durations.sum(dtype=np.uint64))


def make_plain(path: Path) -> None:
    """Make the fragmented file at ``path`` plain. A part of a fragment at its end (a full disk) is cut off first.

    A file without a whole fragment, or in a form that FFmpeg does not write for our encoders, stays fragmented. Raises
    OSError with the file fragmented, and playable, when the index does not fit on the disk.
    """
    with path.open("r+b") as file:
        header, tracks, end = _scanned(file)
        if header is None or not tracks:
            return
        file.truncate(end)
        file.seek(header.start)
        moov = file.read(header.end - header.start)
        index = _index(moov, tracks)
        file.seek(end)
        try:
            file.write(index)
            file.flush()
        except OSError:
            os.truncate(path, end)
            raise
        file.seek(header.start)
        file.write(struct.pack(">I4sQ", 1, b"mdat", end - header.start))


def _scanned(file: IO[bytes]) -> tuple[Box | None, dict[int, _Track], int]:
    """The header box, the tracks by id, and where the last whole fragment ends."""
    tracks: dict[int, _Track] = {}
    header, fragment, end = None, None, 0
    for box in boxes_of(file):
        if box.kind == b"moov":
            header, end = box, box.end
        elif box.kind == b"moof":
            fragment = box
        elif box.kind == b"mdat" and fragment is not None:
            file.seek(fragment.start)
            _add_fragment(file.read(fragment.end - fragment.start), fragment.start, tracks)
            fragment, end = None, box.end
    return header, tracks, end


def _add_fragment(data: bytes, start: int, tracks: dict[int, _Track]) -> None:
    """Add the runs of a fragment. ``data``: its moof box, which lies at ``start`` of the file."""
    (moof,) = boxes(data, 0, len(data))
    for traf in boxes(data, moof.body, moof.end):
        if traf.kind != b"traf":
            continue
        parts = {box.kind: box.body for box in boxes(data, traf.body, traf.end) if box.kind != b"trun"}
        base, track_id, duration, size, flags = _defaults(data, parts[b"tfhd"], start)
        time = _decode_time(data, parts.get(b"tfdt"))
        for run in boxes(data, traf.body, traf.end):
            if run.kind == b"trun":
                samples = _run(data, run.body, duration, size, flags)
                tracks.setdefault(track_id, _Track()).add(time, base, samples)
                time = None


def _defaults(data: bytes, place: int, start: int) -> tuple[int, int, int, int, int]:
    """Parse a tfhd box: base of data offsets, track id, and the samples' default duration, size and flags."""
    given, track_id = struct.unpack_from(">II", data, place)
    place += 8
    base = start
    if given & 0x1:
        (base,) = struct.unpack_from(">Q", data, place)
        place += 8
    place += 4 * bool(given & 0x2)
    values = []
    for bit in (0x8, 0x10, 0x20):
        values.append(struct.unpack_from(">I", data, place)[0] if given & bit else 0)
        place += 4 * bool(given & bit)
    return base, track_id, values[0], values[1], values[2]


def _decode_time(data: bytes, place: int | None) -> int | None:
    if place is None:
        return None
    return int(struct.unpack_from(">Q" if data[place] else ">I", data, place + 4)[0])


def _run(data: bytes, place: int, duration: int, size: int, flags: int) -> _Run:
    """Parse a trun box: its samples. Duration, size and flags: defaults of samples for which it gives none."""
    given, count = struct.unpack_from(">II", data, place)
    given &= 0xFFFFFF
    if given & 0x800:
        raise ValueError("frames that are shown in another order than they are stored")
    place += 8
    (offset,) = struct.unpack_from(">i", data, place) if given & 0x1 else (0,)
    place += 4 * bool(given & 0x1)
    first_flags = struct.unpack_from(">I", data, place)[0] if given & 0x4 else None
    place += 4 * bool(given & 0x4)
    fields = [bit for bit in (0x100, 0x200, 0x400) if given & bit]
    table = np.frombuffer(data, ">u4", count * len(fields), place).reshape(count, len(fields))
    columns = {bit: table[:, k].astype(np.uint32) for k, bit in enumerate(fields)}
    sample_flags = columns.get(0x400, np.full(count, flags, np.uint32))
    if first_flags is not None and count:
        sample_flags[0] = first_flags
    sizes = columns.get(0x200, np.full(count, size, np.uint32))
    durations = columns.get(0x100, np.full(count, duration, np.uint32))
    return _Run(offset, sizes, durations, sample_flags & NOT_SYNC == 0)


def _index(moov: bytes, tracks: dict[int, _Track]) -> bytes:
    """The header box with the sample tables filled in."""
    (box,) = boxes(moov, 0, len(moov))
    (mvhd,) = (each for each in boxes(moov, box.body, box.end) if each.kind == b"mvhd")
    (scale,) = struct.unpack_from(">I", moov, mvhd.body + 12)
    traks = [each for each in boxes(moov, box.body, box.end) if each.kind == b"trak"]
    shown = [_filled_track(moov, trak, tracks, scale) for trak in traks]
    length = max((duration for _, duration in shown), default=0)
    return _packed(b"moov", _with_duration(moov, mvhd, length), *(track for track, _ in shown))


def _filled_track(moov: bytes, trak: Box, tracks: dict[int, _Track], movie_scale: int) -> tuple[bytes, int]:
    """A trak box with its tables, and the track's duration in the movie's time scale."""
    found = {each.kind: each for each in _descendants(moov, trak)}
    (track_id,) = struct.unpack_from(">I", moov, found[b"tkhd"].body + 12)
    (scale,) = struct.unpack_from(">I", moov, found[b"mdhd"].body + 12)
    track = tracks.get(track_id, _Track())
    skipped = _media_time(moov, found[b"elst"]) if b"elst" in found else 0
    # Rounded up: a player drops a last packet that begins after the edit's end.
    duration = -(-max(track.duration - skipped, 0) * movie_scale // scale)

    def filled(box: Box) -> bytes:
        if box.kind == b"stbl":
            return _packed(b"stbl", moov[found[b"stsd"].start : found[b"stsd"].end], *_tables(track))
        if box.kind == b"edts":
            edits = found[b"elst"]
            return _packed(b"edts", _replaced(moov, edits, edits.end - 12, duration))
        if box.kind in DURATION_PLACES:
            return _with_duration(moov, box, track.duration if box.kind == b"mdhd" else duration)
        if box.kind in CONTAINERS:
            return _packed(box.kind, *(filled(each) for each in boxes(moov, box.body, box.end)))
        return moov[box.start : box.end]

    return filled(trak), duration


def _descendants(moov: bytes, box: Box) -> Iterator[Box]:
    for each in boxes(moov, box.body, box.end):
        yield each
        if each.kind in CONTAINERS or each.kind in (b"stbl", b"edts"):
            yield from _descendants(moov, each)


def _media_time(moov: bytes, elst: Box) -> int:
    """Media time that the last edit skips at the beginning: the delay of the audio encoder."""
    return max(int(struct.unpack_from(">i", moov, elst.end - 8)[0]), 0)


def _with_duration(moov: bytes, box: Box, duration: int) -> bytes:
    return _replaced(moov, box, box.body + DURATION_PLACES[box.kind], duration)


def _replaced(moov: bytes, box: Box, place: int, value: int) -> bytes:
    """A box with one 32-bit number replaced; all ones, which mean "unknown", for one that is too large."""
    number = struct.pack(">I", min(value, 0xFFFFFFFF))
    return moov[box.start : place] + number + moov[place + 4 : box.end]


def _tables(track: _Track) -> Iterator[bytes]:
    """The boxes of a track's sample table, except for stsd."""
    counts = np.array([len(sizes) for sizes in track.sizes], np.uint32)
    sizes = np.concatenate([np.zeros(0, np.uint32), *track.sizes])
    durations = np.concatenate([np.zeros(0, np.uint32), *track.durations])
    sync = np.concatenate([np.zeros(0, np.uint32), *track.sync])
    yield _table(b"stts", _run_lengths(durations))
    if len(sync) < track.samples:
        yield _table(b"stss", sync[:, None])
    starts = np.flatnonzero(np.diff(counts, prepend=np.uint32(0)))
    yield _table(b"stsc", np.stack([starts + 1, counts[starts], np.ones(len(starts))], axis=1))
    yield _packed(b"stsz", struct.pack(">III", 0, 0, len(sizes)), sizes.astype(">u4").tobytes())
    is_large = any(offset > 0xFFFFFFFF for offset in track.offsets)
    offsets = np.array(track.offsets, np.uint64)[:, None]
    yield _table(b"co64" if is_large else b"stco", offsets, ">u8" if is_large else ">u4")


def _run_lengths(values: Numbers) -> npt.NDArray[np.int64]:
    """Pairs of count and value."""
    if not len(values):
        return np.zeros((0, 2), np.int64)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    counts = np.diff(starts, append=len(values))
    return np.stack([counts, values[starts].astype(np.int64)], axis=1)


def _table(kind: bytes, rows: npt.NDArray[np.generic], form: str = ">u4") -> bytes:
    """A box that is a list: version and flags, the number of entries, the entries."""
    return _packed(kind, struct.pack(">II", 0, len(rows)), rows.astype(form).tobytes())


def _packed(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)
