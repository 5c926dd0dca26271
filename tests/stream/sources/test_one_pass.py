"""One-pass reading: what is read once, in order of time, whatever the order in the container."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources import open_reader
from speakerlight.sources.audio_choice import AudioChoice
from speakerlight.sources.notices import Notices
from speakerlight.sources.one_pass import OnePass
from speakerlight.sources.source import due
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


def test_a_pipe_without_media_is_one_clear_line(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(b"hello" * 1000), daemon=True).start()
    with pytest.raises(InputError, match="pipe: no video or audio"):
        open_reader(str(pipe), None)
