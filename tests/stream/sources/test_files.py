from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.files import FileReader
from speakerlight.sources.source import due
from tests.stream.sources.conftest import Clip, click_times


def read(path: Path, **wanted: Any) -> tuple[list[Frame], list[AudioChunk]]:
    """All of a file, after checking what holds for every file: time order, and audio without gaps on the grid."""
    reader = FileReader(path, **wanted)
    items = list(reader)
    reader.close()
    assert len(items) < 2 or np.diff([due(item) for item in items]).min() > -1 / 16_000
    frames = [item for item in items if isinstance(item, Frame)]
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    position = 0
    for chunk in chunks:
        assert chunk.time == position / 16_000
        assert chunk.samples.dtype == np.float32 and chunk.samples.ndim == 1
        position += len(chunk.samples)
    return frames, chunks


def clicks(chunks: list[AudioChunk]) -> list[float]:
    return click_times(0.0, np.concatenate([chunk.samples for chunk in chunks]))


def variable_times() -> list[float]:
    return sorted(np.random.default_rng(3).choice(np.arange(0, 200), 60, replace=False) / 100)


@pytest.mark.parametrize("rate", [15, 24, 25, 30000 / 1001, 30, 50, 60])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_frames_of_any_rate_come_at_their_own_time(tmp_path: Path, rate: float, container: str) -> None:
    times = np.arange(round(2 * rate)) / rate
    frames, chunks = read(Clip(times=tuple(times), sound_codec="aac").write(tmp_path / f"clip.{container}"))
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=0.0011)
    np.testing.assert_allclose(clicks(chunks), [0.25, 0.75, 1.25, 1.75], atol=0.002)


def test_frames_of_a_variable_rate_come_at_their_own_time(tmp_path: Path) -> None:
    times = variable_times()
    frames, _ = read(Clip(times=times).write(tmp_path / "clip.mkv"))
    np.testing.assert_allclose([frame.time for frame in frames], np.array(times) - times[0], atol=0.0011)


def test_frames_are_bgr_and_unchanged(tmp_path: Path) -> None:
    frames, _ = read(Clip().write(tmp_path / "clip.mkv"))
    for number, frame in enumerate(frames):
        assert frame.image.shape == (120, 160, 3) and frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert abs(int(frame.image[100, 140, 0]) - number * 4 % 200) <= 5


@pytest.mark.parametrize(
    ("matrix", "corner", "shape"),
    [
        ((0, 1, -1, 0), "top right", (160, 120)),
        ((-1, 0, 0, -1), "bottom right", (120, 160)),
        ((0, -1, 1, 0), "bottom left", (160, 120)),
        ((-1, 0, 0, 1), "top right", (120, 160)),
        ((1, 0, 0, -1), "bottom left", (120, 160)),
        ((0, 1, 1, 0), "top left", (160, 120)),
    ],
)
def test_a_turned_phone_gives_upright_frames(
    tmp_path: Path, matrix: tuple[int, ...], corner: str, shape: tuple[int, int]
) -> None:
    path = Clip(sound_seconds=None).write(tmp_path / "clip.mp4")
    turn(path, matrix)
    frames, _ = read(path)
    reader = FileReader(path)
    assert reader.frame_size == shape[::-1]
    reader.close()
    image = frames[0].image
    assert image.shape[:2] == shape
    y, x = (5 if "top" in corner else -5), (5 if "left" in corner else -5)
    assert image[y, x, 0] > 240 and image[-y, x, 0] < 50 and image[y, -x, 0] < 50


def turn(path: Path, matrix: tuple[int, ...]) -> None:
    """Write the 2 × 2 turn (rows a b, c d of the display matrix, 16.16 fixed point) into an MP4's track header."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    for place, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[start + place : start + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_audio_of_any_rate_is_sample_accurate(tmp_path: Path, rate: int, layout: str) -> None:
    _, chunks = read(Clip(sound_rate=rate, layout=layout).write(tmp_path / "clip.mkv"))
    np.testing.assert_allclose(clicks(chunks), [0.25, 0.75, 1.25, 1.75], atol=1.5 / 16_000)


@pytest.mark.parametrize("layout", ["mono", "stereo", "2.1", "quad", "5.0", "5.1", "7.1"])
def test_audio_of_any_layout_is_mixed_to_mono_within_full_scale(tmp_path: Path, layout: str) -> None:
    clip = Clip(times=None, sound_codec="flac", layout=layout)
    _, chunks = read(clip.write(tmp_path / "clip.mkv"))
    samples = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_allclose(click_times(0.0, samples, 0.05), [0.25, 0.75, 1.25, 1.75], atol=0.001)
    assert 0.05 < np.abs(samples).max() < 0.8


@pytest.mark.parametrize(("start", "frames_start"), [(0.3, 0.0), (0.0, 0.3), (5.0, 5.5), (-0.2, 0.0)])
def test_audio_that_starts_earlier_or_later_than_the_video_keeps_its_place(
    tmp_path: Path, start: float, frames_start: float
) -> None:
    clip = Clip(times=tuple(np.arange(50) / 25 + frames_start + 1), sound_start=start + 1)
    frames, chunks = read(clip.write(tmp_path / "clip.mkv"))
    origin = min(start, frames_start)
    assert frames[0].time == pytest.approx(frames_start - origin, abs=0.0011)
    np.testing.assert_allclose(clicks(chunks)[:4], np.array([0.25, 0.75, 1.25, 1.75]) + start - origin, atol=0.0015)


def test_transport_streams_with_their_late_clock_start_at_zero(tmp_path: Path) -> None:
    frames, chunks = read(Clip(sound_codec="mp2").write(tmp_path / "clip.ts"))
    assert frames[0].time == pytest.approx(0.0, abs=0.05)
    offsets = np.array(clicks(chunks)) - [0.25, 0.75, 1.25, 1.75]
    np.testing.assert_allclose(offsets, offsets[0], atol=0.001)
    assert abs(offsets[0]) < 0.06


def test_a_hole_in_the_audio_is_silence_and_what_follows_keeps_its_place(tmp_path: Path) -> None:
    _, chunks = read(Clip(sound_hole=(0.5, 1.1)).write(tmp_path / "clip.mkv"))
    np.testing.assert_allclose(clicks(chunks), [0.25, 1.25, 1.75], atol=0.0015)
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert not samples[round(0.6 * 16_000) : round(1.0 * 16_000)].any()


def test_audio_that_ends_before_the_video_is_followed_by_silence(tmp_path: Path) -> None:
    _, chunks = read(Clip(sound_seconds=0.5).write(tmp_path / "clip.mkv"))
    assert due(chunks[-1]) == pytest.approx(1.96, abs=0.002)


def test_video_without_audio_and_audio_without_video_are_read(tmp_path: Path) -> None:
    silent, blind = Clip(sound_seconds=None).write(tmp_path / "a.mp4"), Clip(times=None).write(tmp_path / "b.wav")
    first, second = FileReader(silent), FileReader(blind)
    assert (first.has_video, first.has_audio, second.has_video, second.has_audio) == (True, False, False, True)
    assert first.frame_size == (160, 120) and first.frame_rate == pytest.approx(25)
    assert second.frame_size is None and second.frame_rate is None
    assert first.duration_seconds == pytest.approx(2, abs=0.05) and second.duration_seconds == pytest.approx(2)
    first.close()
    second.close()
    assert len(read(silent)[0]) == 50 and due(read(blind)[1][-1]) == 2.0


def test_video_or_audio_can_be_disabled_and_the_other_keeps_its_time(tmp_path: Path) -> None:
    path = Clip(sound_start=0.3).write(tmp_path / "clip.mkv")
    frames, chunks = read(path, video=False)
    assert not frames and clicks(chunks)[0] == pytest.approx(0.55, abs=0.0015)
    frames, chunks = read(path, audio=False)
    assert len(frames) == 50 and not chunks


@pytest.mark.parametrize("damage", ["noise", "zeros", "hole", "end"])
@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_a_damaged_file_gives_what_can_be_read_before_and_after(tmp_path: Path, damage: str, container: str) -> None:
    times = np.arange(250) / 25
    clip = Clip(times=tuple(times), sound_seconds=10.0, sound_codec="mp2")
    path = clip.write(tmp_path / f"clip.{container}")
    data = bytearray(path.read_bytes())
    # The index of an MP4 lies at the end; without it nothing can be read at all.
    media = (data.index(b"mdat"), data.index(b"moov")) if container == "mp4" else (2000, len(data))
    first, last = (round(media[0] + share * (media[1] - media[0])) for share in (0.4, 0.5))
    if damage == "noise":
        data[first:last] = np.random.default_rng(1).bytes(last - first)
    elif damage == "zeros":
        data[first:last] = bytes(last - first)
    elif container == "mp4":
        pytest.skip("an MP4 with bytes missing has lost its index")
    elif damage == "hole":
        del data[first:last]
    else:
        del data[last:]
    path.write_bytes(data)
    frames, chunks = read(path)
    read_times = np.array([frame.time for frame in frames])
    assert (read_times < 3.5).sum() > 80
    if damage != "end":
        assert (read_times > 6.5).sum() > 70 and read_times[-1] == pytest.approx(9.96, abs=0.1)
    assert clicks(chunks)[:5] == pytest.approx(clicks(read(clip.write(tmp_path / f"whole.{container}"))[1])[:5])


def test_large_and_tiny_frames(tmp_path: Path) -> None:
    for size in ((3840, 2160), (10, 10)):
        path = Clip(times=[0.0, 0.04], size=size, sound_seconds=None, video_codec="mjpeg").write(tmp_path / "clip.mkv")
        frames, _ = read(path)
        assert frames[1].image.shape == (size[1], size[0], 3)


def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("this is no video\n" * 100)
    empty.touch()
    header = tmp_path / "header.mkv"
    header.write_bytes(Clip().write(tmp_path / "whole.mkv").read_bytes()[:800])
    for path in (text, empty, header, tmp_path, tmp_path / "missing.mp4"):
        with pytest.raises(InputError) as caught:
            FileReader(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no audio"):
        FileReader(Clip(sound_seconds=None).write(tmp_path / "silent.mp4"), video=False)
