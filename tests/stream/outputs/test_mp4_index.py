"""MP4 index: a recording is a plain file afterwards, with every sample at its time, and plays whatever happened."""

from __future__ import annotations

import gc
import os
import struct
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speakerlight.outputs import mp4
from speakerlight.outputs.audio_tape import AudioTape
from speakerlight.outputs.mp4 import Mp4Writer
from speakerlight.outputs.mp4_index import _Run, _run_lengths, _tables, _Track, make_plain
from tests.stream.outputs.made import frame, silence
from tests.stream.outputs.test_files import disk_of

Packets = dict[str, list[tuple[int, int, int, bool]]]


def kinds(path: Path) -> list[str]:
    """The boxes at a file's top level."""
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, place + 8)
        found.append(kind.decode())
        place += size
    return found


def packets(path: Path) -> Packets:
    """Of each kind of stream: time, duration, size and key frame of every packet."""
    with av.open(str(path)) as container:
        found: Packets = {stream.type: [] for stream in container.streams}
        for packet in container.demux():
            if packet.size:
                kind = packet.stream.type
                found[kind].append((packet.pts or 0, packet.duration or 0, packet.size, packet.is_keyframe))
        return found


def record(path: Path, times: list[float], audio: bool = True) -> None:
    tape = AudioTape() if audio else None
    writer = Mp4Writer(path, (64, 48), tape)
    for k, time in enumerate(times):
        if tape is not None:
            tape.put(silence(k / 25, 1 / 25))
        writer.frame(time, frame(time, k % 256, 64, 48).image)
    writer.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.001, 3.0), min_size=1, max_size=150), st.booleans())
@example([1.45703125, 1.45703125, 1.001, 1.001, 2.538921013921626, 2.3139600410479315], True)  # ends with 15 samples
def test_the_plain_file_has_the_fragments_samples(
    tmp_path_factory: pytest.TempPathFactory, steps: list[float], audio: bool
) -> None:
    folder = tmp_path_factory.mktemp("index")
    times = [0.0, *np.cumsum(steps).tolist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mp4, "make_plain", lambda path: None)
        record(folder / "fragments.mp4", times, audio)
    whole = folder / "plain.mp4"
    whole.write_bytes((folder / "fragments.mp4").read_bytes())
    make_plain(whole)
    assert set(kinds(folder / "fragments.mp4")) == {"ftyp", "moov", "moof", "mdat"}
    assert kinds(whole) == ["ftyp", "mdat", "moov"]
    before, after = packets(folder / "fragments.mp4"), packets(whole)
    for kind, expected in before.items():
        assert [each[::2] for each in after[kind]] == [each[::2] for each in expected]
        assert [each[3] for each in after[kind]] == [each[3] for each in expected]
    last = after["video"][-1]
    with av.open(str(whole)) as container:
        assert abs((container.streams.video[0].duration or 0) - last[0] - last[1]) < 20
        assert abs((container.duration or 0) / av.time_base - max(times[-1], len(times) / 25 * audio)) < 3.2


def test_a_recording_can_be_sought_in(tmp_path: Path) -> None:
    record(tmp_path / "o.mp4", [k / 25 for k in range(500)])
    with av.open(str(tmp_path / "o.mp4")) as container:
        stream = container.streams.video[0]
        assert (container.duration or 0) / av.time_base == pytest.approx(20.0, abs=0.1)
        container.seek(int(15.0 / (stream.time_base or 1)), stream=stream)
        first = next(container.decode(video=0))
        assert 12.0 < (first.time or 0) <= 15.0
        assert abs(float(first.to_ndarray(format="bgr24").mean()) - round((first.time or 0) * 25) % 256) < 4


def test_the_index_of_a_long_recording_is_not_kept_in_memory(tmp_path: Path) -> None:
    """What Python holds; FFmpeg holds 70 bytes a packet with ``hybrid_fragmented``, as the whole process shows."""

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory of a process cannot be read here")
    writer = Mp4Writer(tmp_path / "o.mp4", (16, 16), None, threads=1)
    image = frame(0, 0, 16, 16).image
    sizes = []
    for k in range(60_000):
        if k in (20_000, 59_999):
            sizes.append(resident())
        writer.frame(k / 25, image)
    writer.close()
    assert sizes[1] - sizes[0] < 1_000_000, "40,000 packets of 70 bytes would be 2.8 MB"
    assert len(packets(tmp_path / "o.mp4")["video"]) == 60_000


def test_a_full_disk_leaves_a_file_that_plays(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    with disk_of(100_000):
        writer = Mp4Writer(path, (64, 48), None)
        with pytest.raises(OSError):
            for k in range(1000):
                writer.frame(k / 25, np.roll(noise, k, axis=1))
        with pytest.raises(OSError):
            writer.close()
    whole = packets(path)["video"]
    assert len(whole) >= 50
    assert kinds(path)[-1] in ("mdat", "moov"), "no part of a fragment at the end"
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(whole)


def test_a_disk_that_is_full_from_the_start_leaves_no_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    with disk_of(0):
        writer = Mp4Writer(path, (64, 48), None)
        with pytest.raises(OSError):
            for k in range(100):
                writer.frame(k / 25, np.zeros((48, 64, 3), np.uint8))
            writer.close()
        with suppress(OSError):
            writer.close()
    assert not path.exists()


def test_a_file_of_another_kind_stays_as_it_is(tmp_path: Path) -> None:
    for content in (b"", b"not a video", b"\0" * 100, struct.pack(">I4sQ", 1, b"moov", 2**60) + b"x" * 100):
        (tmp_path / "o.mp4").write_bytes(content)
        make_plain(tmp_path / "o.mp4")
        assert (tmp_path / "o.mp4").read_bytes() == content


def test_offsets_beyond_four_gigabytes_have_room() -> None:
    track = _Track()
    one = np.ones(1, np.uint32)
    for offset in (100, 5 << 32):
        track.add(None, offset, _Run(0, one, one, np.ones(1, bool)))
    tables = {table[4:8]: table[16:] for table in _tables(track)}
    assert struct.unpack(">QQ", tables[b"co64"]) == (100, 5 << 32)


@given(st.lists(st.integers(0, 3)))
def test_run_lengths_give_the_values_again(values: list[int]) -> None:
    pairs = _run_lengths(np.array(values, np.uint32))
    assert np.repeat(pairs[:, 1], pairs[:, 0]).tolist() == values
