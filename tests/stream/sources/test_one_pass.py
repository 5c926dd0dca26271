"""One-pass reading: what is read once, in order of time, whatever the order in the container."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources import open_reader
from speakerlight.sources.network import NetworkSource
from speakerlight.sources.notices import Notices
from speakerlight.sources.one_pass import OnePass
from speakerlight.sources.source import AudioChoice, SourceOptions, due
from tests.stream.sources.conftest import Clip, click_times


def read(path: Path, lines: list[str] | None = None) -> list[Frame | AudioChunk]:
    notices = Notices(path.name, (lines if lines is not None else []).append)
    media = OnePass(av.open(str(path)), video=True, audio=True, choice=AudioChoice(), notices=notices)
    items = list(media)
    media.close()
    return items


def check(items: list[Frame | AudioChunk], frames: int, clicks: list[float]) -> None:
    moments = [due(item) for item in items]
    assert np.diff(moments).min() > -0.08, "in order, up to what a decoder holds back"
    samples = [item.samples for item in items if isinstance(item, AudioChunk)]
    assert sum(isinstance(item, Frame) for item in items) == frames
    np.testing.assert_allclose(click_times(0.0, np.concatenate(samples)), clicks, atol=0.06)


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4"])
def test_any_container_is_read_in_order(tmp_path: Path, name: str) -> None:
    check(read(Clip(sound_codec="mp2").write(tmp_path / name)), 50, [0.25, 0.75, 1.25, 1.75])


def test_seconds_of_video_before_their_audio_are_read_in_order(tmp_path: Path) -> None:
    with (
        av.open(str(tmp_path / "a.ts"), "w") as made,
        av.open(str(Clip(sound_codec="mp2").write(tmp_path / "b.mkv"))) as source,
    ):
        streams = {stream.index: made.add_stream_from_template(stream) for stream in source.streams}
        packets = [packet for packet in source.demux() if packet.size]
        for packet in sorted(packets, key=lambda packet: packet.stream.type != "video"):
            packet.stream = streams[packet.stream.index]
            made.mux_one(packet)
    check(read(tmp_path / "a.ts"), 50, [0.25, 0.75, 1.25, 1.75])


def test_a_clock_that_restarts_goes_on(tmp_path: Path) -> None:
    data = Clip(sound_codec="mp2").write(tmp_path / "a.ts").read_bytes()
    (tmp_path / "twice.ts").write_bytes(data + data)
    lines: list[str] = []
    items = read(tmp_path / "twice.ts", lines)
    check(items, 100, [0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75])
    assert len(lines) == 1


def test_audio_that_ends_early_is_followed_by_silence(tmp_path: Path) -> None:
    items = read(Clip(sound_seconds=0.5).write(tmp_path / "a.mkv"))
    assert sum(len(item.samples) for item in items if isinstance(item, AudioChunk)) >= 1.9 * 16_000


def test_a_pipe_is_read_as_the_file_behind_it(tmp_path: Path) -> None:
    clip, pipe = Clip().write(tmp_path / "a.mkv"), tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()), daemon=True).start()
    reader = open_reader(str(pipe), None)
    check(list(reader), 50, [0.25, 0.75, 1.25, 1.75])
    assert reader.frame_size == (160, 120)
    reader.close()


@pytest.mark.parametrize("live", [False, True])
def test_an_mp4_with_its_index_at_its_end_comes_through_a_pipe(tmp_path: Path, live: bool) -> None:
    clip, pipe = Clip(sound_codec="aac").write(tmp_path / "a.mp4").read_bytes(), tmp_path / "pipe"
    assert clip.index(b"mdat") < clip.index(b"moov")
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(clip), daemon=True).start()
    lines: list[str] = []
    if live:
        source = NetworkSource(str(pipe), options=SourceOptions(notify=lines.append))
        assert source.has_video and source.has_audio and source.frame_size == (160, 120)
        source.stop()
    else:
        reader = open_reader(str(pipe), None, SourceOptions(notify=lines.append))
        check(list(reader), 50, [0.25, 0.75, 1.25, 1.75])
        reader.close()
    assert len(lines) == 1 and "index at its end" in lines[0]


def test_standard_input_from_a_file_is_read_as_the_file(tmp_path: Path) -> None:
    clip = Clip(sound_codec="aac").write(tmp_path / "a.mp4")
    code = (
        "from speakerlight.sources import open_reader; r = open_reader('-', None);"
        "print(sum(type(item).__name__ == 'Frame' for item in r)); r.close()"
    )
    for command in ('exec "$0" -c "$1" < "$2"', 'cat "$2" | "$0" -c "$1"'):
        given = ["bash", "-c", command, sys.executable, code, str(clip)]
        assert subprocess.run(given, capture_output=True, text=True, timeout=60).stdout.strip() == "50"


@pytest.mark.parametrize("kind", ["flv", "mp4"])
def test_a_second_recording_in_a_pipe_is_not_passed_over_in_silence(tmp_path: Path, kind: str) -> None:
    clip, pipe = Clip(sound_codec="aac", options={"movflags": "faststart"} if kind == "mp4" else {}), tmp_path / "pipe"
    data = clip.write(tmp_path / f"a.{kind}").read_bytes()
    os.mkfifo(pipe)
    many = data * (2 + (2 << 20) // len(data))
    threading.Thread(target=lambda: pipe.write_bytes(many), daemon=True).start()
    lines: list[str] = []
    reader = open_reader(str(pipe), None, SourceOptions(notify=lines.append))
    check(list(reader), 50, [0.25, 0.75, 1.25, 1.75])
    reader.close()
    assert len(lines) == 1 and "more follows" in lines[0]


def test_codecs_that_change_in_a_pipe_are_read_on_or_named(tmp_path: Path) -> None:
    parts = [Clip(sound_codec=name).write(tmp_path / f"{name}.ts").read_bytes() for name in ("aac", "mp2", "aac")]
    links = [
        Clip(times=None, sound_codec=name, layout="mono").write(tmp_path / f"{name}.ogg").read_bytes()
        for name in ("libopus", "flac")
    ]
    lines: list[str] = []
    for content, clicks in ((b"".join(parts), 12), (b"".join(links), 4)):
        pipe = tmp_path / f"pipe{clicks}"
        os.mkfifo(pipe)
        threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True).start()
        reader = open_reader(str(pipe), None, SourceOptions(notify=lines.append))
        samples = [item.samples for item in reader if isinstance(item, AudioChunk)]
        assert len(click_times(0.0, np.concatenate(samples))) == clicks
        reader.close()
    assert "another codec (mp2)" in lines[1] and "more follows" in lines[2] and len(lines) == 3


def test_a_pipe_without_media_is_one_clear_line(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(b"hello" * 1000), daemon=True).start()
    with pytest.raises(InputError, match="pipe: no video or audio"):
        open_reader(str(pipe), None)


def test_an_empty_pipe_is_one_clear_line(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(b""), daemon=True).start()
    with pytest.raises(InputError, match="pipe: it ended before anything came"):
        open_reader(str(pipe), None)
