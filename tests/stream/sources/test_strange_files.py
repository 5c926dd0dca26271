"""Files as found: clocks that restart, streams that pause, pixels and sizes that change, audio in odd places."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources import audio_choice
from speakerlight.sources.files import FileReader
from speakerlight.sources.packets import demuxed
from speakerlight.sources.source import AudioChoice
from tests.stream.sources.conftest import Clip, click_times

STEP = 1 / 25


def read(path: Path, **wanted: object) -> tuple[list[Frame], np.ndarray, list[str]]:
    """All frames, the audio from time 0, and what was reported."""
    lines: list[str] = []
    reader = FileReader(path, notify=lines.append, **wanted)  # type: ignore[arg-type]
    items = list(reader)
    reader.close()
    samples = [item.samples for item in items if isinstance(item, AudioChunk)]
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, np.concatenate([np.zeros(0, np.float32), *samples]), lines


def piece(path: Path, start: float, seconds: float, **clip: object) -> bytes:
    times = start + np.arange(round(seconds / STEP)) * STEP
    made = Clip(times=times, sound_seconds=seconds, sound_start=start, sound_codec="mp2", **clip)  # type: ignore[arg-type]
    return made.write(path).read_bytes()


@pytest.mark.parametrize("second", [0.0, 1.0, 300.0, 40_000.0])
def test_recordings_joined_with_cat_are_read_whole_and_in_step(tmp_path: Path, second: float) -> None:
    joined = tmp_path / "joined.ts"
    joined.write_bytes(piece(tmp_path / "a.ts", 0.0, 6.0) + piece(tmp_path / "b.ts", second, 4.0))
    frames, samples, lines = read(joined)
    times = np.array([frame.time for frame in frames])
    assert len(frames) >= 248 and times[0] < 0.1 and abs(times[-1] - 9.96) < 0.12
    assert np.diff(times).max() < 0.15 and abs(len(samples) / 16_000 - 10) < 0.15
    clicks = np.array(click_times(0.0, samples))
    assert len(clicks) == 20
    # In the second piece the video shows 4 grey levels a frame and the audio clicks each half second.
    begin = times[-100]
    np.testing.assert_allclose(clicks[12:] - begin, np.arange(8) / 2 + 0.25, atol=0.06)
    assert len(lines) == 1 and "joined.ts: its clock jumps" in lines[0]


@pytest.mark.parametrize("second", [0.0, 6.0])
def test_a_transport_stream_whose_streams_move_to_other_pids_is_read_whole(tmp_path: Path, second: float) -> None:
    moved = piece(tmp_path / "b.ts", second, 4.0, options={"mpegts_start_pid": "0x200"})
    (tmp_path / "moved.ts").write_bytes(piece(tmp_path / "a.ts", 0.0, 6.0) + moved)
    frames, samples, _ = read(tmp_path / "moved.ts")
    # FFmpeg gives out the last frames of the streams before at the very end.
    assert len(frames) >= 248 and np.diff([frame.time for frame in frames[:246]]).max() < 0.15
    assert len(click_times(0.0, samples)) == 20


def test_two_blobs_of_a_browser_s_recorder_are_both_read(tmp_path: Path) -> None:
    blob = Clip(times=tuple(np.arange(75) / 25), video_codec="vp8", sound_codec="libopus", sound_seconds=3.0)
    data = blob.write(tmp_path / "a.webm").read_bytes()
    (tmp_path / "both.webm").write_bytes(data + data)
    frames, samples, _ = read(tmp_path / "both.webm")
    assert len(frames) == 150 and abs(frames[-1].time - 5.96) < 0.1
    assert abs(len(samples) / 16_000 - 6) < 0.1 and len(click_times(0.0, samples)) == 12


@pytest.mark.parametrize("kind", ["flv", "mp4", "fragmented.mp4"])
def test_three_recordings_in_one_flv_or_mp4_file_are_all_read(tmp_path: Path, kind: str) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"} if kind.startswith("fragmented") else {}
    clip = Clip(times=tuple(np.arange(50) / 25), sound_codec="aac", options=options)
    data = clip.write(tmp_path / f"a.{kind}").read_bytes()
    (tmp_path / f"10:31,,.{kind}").write_bytes(3 * data)
    frames, samples, lines = read(tmp_path / f"10:31,,.{kind}")
    times = np.array([frame.time for frame in frames])
    assert len(frames) == 150 and np.diff(times).max() < 0.15 and abs(times[-1] - 6.0) < 0.2
    assert abs(len(samples) / 16_000 - 6) < 0.2 and len(click_times(0.0, samples)) == 12
    assert len(lines) == 1 and "its clock jumps" in lines[0]


@pytest.mark.parametrize(("kind", "reported"), [("mp4", True), ("flv", False)])
def test_a_second_recording_that_cannot_be_read_is_named(tmp_path: Path, kind: str, reported: bool) -> None:
    data = Clip(sound_codec="aac").write(tmp_path / f"a.{kind}").read_bytes()
    (tmp_path / f"half.{kind}").write_bytes(data + data[: len(data) // 2])
    frames, _, lines = read(tmp_path / f"half.{kind}")
    assert len(frames) >= 50
    if reported:  # its index is at its end; of an FLV file the first half can be read
        assert len(frames) == 50 and len(lines) == 1 and "second recording" in lines[0] and "left out" in lines[0]
    else:
        assert len(frames) > 60


def restamped(path: Path, made: Path, stamp: Callable[[float], float]) -> Path:
    """``path`` with other timestamps, those of ``stamp`` of the seconds."""
    with av.open(str(path)) as given, av.open(str(made), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None and packet.pts is not None:
                seconds = stamp(float(packet.pts * packet.time_base))
                packet.pts = packet.dts = round(seconds / packet.time_base)
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    return made


def test_reordered_frames_without_presentation_times_are_all_shown(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "b.avi"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "b-adapt": "2", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(75):
            grey = np.full((48, 64, 3), 60 + 2 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="bgr24")))
        container.mux(stream.encode(None))
    frames, _, _ = read(tmp_path / "b.avi")
    shown = [float(frame.image.mean()) for frame in frames]
    assert len(frames) >= 73 and np.all(np.diff(shown) > 0)
    assert np.diff([frame.time for frame in frames]).max() < 0.13


def test_frames_and_audio_that_are_stamped_once_a_second_are_spread(tmp_path: Path) -> None:
    clip = Clip(times=tuple(np.arange(100) / 25), sound_seconds=4.0).write(tmp_path / "a.mkv")
    frames, samples, _ = read(restamped(clip, tmp_path / "bursts.mkv", np.floor))
    assert len(frames) == 100
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(100) / 25, atol=0.012)
    assert abs(len(samples) / 16_000 - 4) < 0.1
    np.testing.assert_allclose(click_times(0.0, samples), np.arange(8) / 2 + 0.25, atol=0.03)


def test_frames_and_audio_with_one_timestamp_for_all_are_read_whole(tmp_path: Path) -> None:
    clip = Clip(times=tuple(np.arange(100) / 25), sound_seconds=4.0).write(tmp_path / "a.mkv")
    frames, samples, _ = read(restamped(clip, tmp_path / "none.mkv", lambda t: 0.0))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(100) / 25, atol=0.012)
    np.testing.assert_allclose(click_times(0.0, samples), np.arange(8) / 2 + 0.25, atol=0.03)


def test_a_gap_in_audio_and_video_is_kept_and_named(tmp_path: Path) -> None:
    clip = Clip(times=tuple(np.arange(50) / 25)).write(tmp_path / "a.mkv")
    frames, samples, lines = read(restamped(clip, tmp_path / "gap.mkv", lambda t: t if t < 1 else t + 4))
    assert len(frames) == 50 and abs(frames[25].time - 5.0) < 0.01
    np.testing.assert_allclose(click_times(0.0, samples), [0.25, 0.75, 5.25, 5.75], atol=0.03)
    assert len(lines) == 1 and "no media for 4 s" in lines[0]


@pytest.mark.parametrize("rate", [15, 30])
def test_a_bare_stream_without_timestamps_begins_at_0_and_has_its_own_rate(tmp_path: Path, rate: int) -> None:
    with av.open(str(tmp_path / "camera.h264"), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")))
        container.mux(stream.encode(None))
    frames, _, _ = read(tmp_path / "camera.h264")
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(20) / rate, atol=1e-6)


def test_a_camera_that_is_switched_on_late_keeps_its_time(tmp_path: Path) -> None:
    clip = Clip(times=tuple(40 + np.arange(10) / 25), sound_seconds=41.0)
    frames, samples, lines = read(clip.write(tmp_path / "late.mkv"))
    assert frames[0].time == pytest.approx(40.0, abs=0.002) and len(samples) >= 40.9 * 16_000 and not lines


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_audio_that_begins_long_after_the_video_has_ended_keeps_its_time(tmp_path: Path, kind: str) -> None:
    clip = Clip(sound_start=20.0, sound_codec="aac").write(tmp_path / f"late.{kind}")
    frames, samples, lines = read(clip)
    assert len(frames) == 50 and frames[-1].time < 2.0
    np.testing.assert_allclose(click_times(0.0, samples), 20.25 + np.arange(4) / 2, atol=0.06)
    assert len(lines) == 1 and "no media for 18 s" in lines[0]


def test_frames_that_pause_while_the_audio_goes_on_keep_their_time(tmp_path: Path) -> None:
    times = [*np.arange(25) / 25, *(30 + np.arange(25) / 25)]
    frames, _, lines = read(Clip(times=times, sound_seconds=31.0).write(tmp_path / "pause.mkv"))
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=0.0011)
    assert not lines


def test_frames_of_a_slow_motion_camera_are_skipped_before_they_are_converted(tmp_path: Path) -> None:
    times = [*(np.arange(1000) / 1000), *(1 + np.arange(50) / 120), 2.0, 2.005, 2.01]
    frames, _, lines = read(Clip(times=times, video_codec="mjpeg", sound_seconds=3.0).write(tmp_path / "fast.mkv"))
    shown = np.array([frame.time for frame in frames])
    assert 60 <= np.count_nonzero(shown < 0.99) <= 75
    np.testing.assert_allclose(shown[-49:], [*(1 + np.arange(3, 50) / 120), 2.0, 2.01], atol=0.001)
    assert len(lines) == 1 and "skipped" in lines[0]


def test_a_stated_length_cuts_nothing_off(tmp_path: Path) -> None:
    path = Clip(times=None, sound_seconds=30.0, sound_codec="mp3").write(tmp_path / "a.mp3")
    frames, samples, _ = read(path)
    assert not frames and len(samples) >= 29.9 * 16_000


def aspect(path: Path, size: tuple[int, int], pixel: Fraction, count: int = 3) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel
        stream.sample_aspect_ratio = pixel
        image = np.zeros((size[1], size[0], 3), np.uint8)
        image[:, : size[0] // 2] = 255
        for _ in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("size", "pixel", "shown"),
    [
        ((180, 144), Fraction(64, 45), (256, 144)),
        ((240, 270), Fraction(2), (480, 270)),
        ((256, 144), Fraction(1, 2), (256, 288)),
        ((160, 120), Fraction(1), (160, 120)),
        ((160, 120), Fraction(400), (160, 120)),
    ],
)
def test_pixels_that_are_not_square_are_shown_square(
    tmp_path: Path, size: tuple[int, int], pixel: Fraction, shown: tuple[int, int]
) -> None:
    path = aspect(tmp_path / "a.mp4", size, pixel)
    reader = FileReader(path)
    assert reader.frame_size == shown
    reader.close()
    frames, _, _ = read(path)
    assert frames[0].image.shape == (shown[1], shown[0], 3)
    assert frames[0].image[:, : shown[0] // 2 - 4].min() > 220 and frames[0].image[:, shown[0] // 2 + 4 :].max() < 30


def test_a_frame_of_another_size_is_scaled_and_one_of_another_shape_gets_bars(tmp_path: Path) -> None:
    parts = [piece(tmp_path / f"{n}.ts", 0, 1, size=size) for n, size in enumerate([(160, 120), (80, 60), (120, 160)])]
    (tmp_path / "all.ts").write_bytes(b"".join(parts))
    frames, _, _ = read(tmp_path / "all.ts")
    assert {frame.image.shape for frame in frames} == {(120, 160, 3)}
    smaller, upright = frames[37].image, frames[-5].image
    assert smaller[:55, :75].min() > 200 and smaller[70:, 90:].max() < 220
    assert upright[:, :30].max() < 10 and upright[:, -30:].max() < 10  # 90 of 160 columns are left
    assert upright[5:50, 40:70].min() > 200


@pytest.mark.parametrize(("aspects", "shape"), [((16, 12), (144, 256)), ((12, 16), (144, 192))])
def test_pixels_that_change_their_aspect_get_bars(
    tmp_path: Path, aspects: tuple[int, int], shape: tuple[int, int]
) -> None:
    parts = [aspect(tmp_path / f"{wide}.ts", (176, 144), Fraction(wide, 11), 20) for wide in aspects]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, _, _ = read(tmp_path / "both.ts")
    assert {frame.image.shape for frame in frames} == {(*shape, 3)}
    first, last = frames[5].image, frames[-5].image
    assert first[3:-3, 3 : shape[1] // 2 - 3].min() > 220
    if aspects == (16, 12):  # 192 of 256 columns
        assert last[:, :28].max() < 10 and last[3:-3, 38:120].min() > 220
    else:  # 108 of 144 rows
        assert last[:14].max() < 10 and last[24:120, 3:90].min() > 220


def test_an_orientation_that_the_codec_states_holds_until_the_next_sequence(tmp_path: Path) -> None:
    plain = piece(tmp_path / "plain.ts", 0.0, 1.0)
    with av.open(str(tmp_path / "plain.ts")) as given, av.open(str(tmp_path / "turned.ts"), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        turn = BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=90", given.streams.video[0])
        for packet in given.demux(video=0):
            for turned in turn.filter(packet if packet.size else None):
                turned.stream = stream
                made.mux(turned)
    (tmp_path / "phone.ts").write_bytes(plain + (tmp_path / "turned.ts").read_bytes() + plain)
    frames, _, _ = read(tmp_path / "phone.ts")
    assert {frame.image.shape for frame in frames} == {(120, 160, 3)}
    bars = [bool(frame.image[:, :30].max() < 10) for frame in frames]  # turned, it is 90 of 160 columns wide
    assert bars[:25] == [False] * 25 and bars[25:48] == [True] * 23 and bars[51:] == [False] * (len(bars) - 51)
    assert frames[35].image[70:115, 40:70].min() > 200  # what was above on the left is below


@pytest.mark.parametrize("channel", [None, 1, 2])
def test_opposite_phases_do_not_silence_each_other(tmp_path: Path, channel: int | None) -> None:
    voice = 0.3 * np.random.default_rng(0).standard_normal(2 * 48_000).astype(np.float32)
    path = stereo(tmp_path / "opposite.wav", np.stack([voice, -0.95 * voice]))
    _, samples, _ = read(path, choice=AudioChoice(channel=channel))
    assert 0.1 < np.sqrt(np.mean(np.square(samples))) < 0.35


def test_one_of_many_channels_is_not_thinned_out(tmp_path: Path) -> None:
    channels = np.zeros((6, 2 * 48_000), np.float32)
    channels[3] = 0.3 * np.random.default_rng(0).standard_normal(2 * 48_000)
    path = stereo(tmp_path / "fourth.wav", channels, "6 channels")
    _, samples, _ = read(path)
    assert np.sqrt(np.mean(np.square(samples))) > 0.1
    _, silent, _ = read(path, choice=AudioChoice(channel=1))
    assert not silent.any()


@pytest.mark.parametrize("scale", [1e3, 2.0**15, 2.0**31])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_float_audio_in_other_units_is_scaled_and_reported(tmp_path: Path, scale: float, layout: str) -> None:
    voice = 0.1 * np.random.default_rng(0).standard_normal(3 * 48_000) * (np.arange(3 * 48_000) % 24_000 < 12_000)
    channels = np.tile((scale * voice).astype(np.float32), (1 if layout == "mono" else 2, 1))
    channels[0, 100_000] = np.nan
    _, samples, lines = read(stereo(tmp_path / "units.wav", channels, layout))
    assert len(lines) == 1 and "scaled down" in lines[0]
    later = samples[8_000:]
    assert np.isfinite(samples).all() and np.abs(samples).max() < 8
    assert 0.1 < np.sqrt(np.mean(np.square(later))) < 0.5
    np.testing.assert_allclose(np.abs(later.reshape(-1, 8_000)).max(axis=1) > 0.5, [True] * 5)


def test_short_bursts_of_damage_are_no_other_units(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    voice = (0.1 * random.standard_normal((1, 3 * 48_000))).astype(np.float32)
    voice[0, 48_000:52_000] = 1e5 * random.standard_normal(4_000)
    voice[0, 60_000:80_000] = random.integers(0, 2**32, 20_000, np.uint32).view(np.float32)
    _, samples, lines = read(stereo(tmp_path / "damaged.wav", voice, "mono"))
    assert not lines and 0.05 < np.sqrt(np.mean(np.square(samples[42_000:]))) < 0.065


def test_after_long_damage_full_scale_comes_back(tmp_path: Path) -> None:
    voice = (0.1 * np.random.default_rng(0).standard_normal((1, 15 * 48_000))).astype(np.float32)
    voice[0, 48_000:96_000] *= 1e5
    _, samples, _ = read(stereo(tmp_path / "damaged.wav", voice, "mono"))
    assert 0.05 < np.sqrt(np.mean(np.square(samples[-32_000:]))) < 0.065


def stereo(path: Path, channels: np.ndarray, layout: str = "stereo") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=48_000, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels.T.reshape(1, -1)), "flt", layout)
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def two_tracks(path: Path, levels: tuple[float, float]) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        tracks = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in levels]
        for number in range(150):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")))
            for track, level in zip(tracks, levels, strict=True):
                frame = av.AudioFrame.from_ndarray(np.full((1, 640), level * 32767, np.int16), "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 16_000, number * 640, Fraction(1, 16_000)
                container.mux(track.encode(frame))
        container.mux(video.encode(None))
        for track in tracks:
            container.mux(track.encode(None))
    return path


def test_the_track_with_a_voice_is_used_and_reported_and_a_silent_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_choice, "_has_voice", lambda samples: bool(np.abs(samples).max(initial=0) > 0.1))
    path = two_tracks(tmp_path / "two.mkv", (0.0, 0.5))
    _, samples, lines = read(path)
    assert np.abs(samples).max() > 0.4
    assert len(lines) == 1 and "voice in audio track 2 only" in lines[0]
    _, samples, lines = read(path, choice=AudioChoice(track=1))
    assert not samples.any() and len(lines) == 1 and "digital silence" in lines[0] and "--audio-track" in lines[0]
    _, samples, lines = read(two_tracks(tmp_path / "both.mkv", (0.5, 0.2)))
    assert np.abs(samples).max() > 0.4 and not lines
    with pytest.raises(InputError, match="there are 2 audio tracks"):
        FileReader(path, choice=AudioChoice(track=3))


@pytest.mark.parametrize(("noise", "chosen"), [(0.3, True), (0.02, False)])
def test_a_loud_channel_without_a_voice_beside_one_with_it_is_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: float, chosen: bool
) -> None:
    def has_tone(samples: np.ndarray) -> bool:
        spectrum = np.abs(np.fft.rfft(samples[-16_000:], 16_000))
        return bool(spectrum[440] > 20 * np.median(spectrum))

    monkeypatch.setattr(audio_choice, "_has_voice", has_tone)
    voice = 0.2 * np.sin(2 * np.pi * 440 / 48_000 * np.arange(10 * 48_000)).astype(np.float32)
    hiss = noise * np.random.default_rng(0).standard_normal(10 * 48_000).astype(np.float32)
    _, samples, lines = read(stereo(tmp_path / "two.wav", np.stack([hiss, voice])))
    if chosen:
        assert len(lines) == 1 and "voice in channel 2 of audio track 1 only" in lines[0]
        np.testing.assert_allclose(np.sqrt(np.mean(np.square(samples))), 0.2 / np.sqrt(2), rtol=0.02)
    else:
        assert not lines
    _, _, lines = read(stereo(tmp_path / "alike.wav", np.stack([voice + 0.1 * hiss, voice])))
    assert not lines


@pytest.mark.parametrize("name", ["10:31.mp4", "100%.mp4", "im%02d.mp4", "a#b?c.mp4", "é\udcff.mp4", "-.mp4"])
def test_any_name_is_opened(tmp_path: Path, name: str) -> None:
    plain = Clip().write(tmp_path / "plain.mp4")
    (tmp_path / name).write_bytes(plain.read_bytes())
    frames, _, _ = read(tmp_path / name)
    assert len(frames) == 50


@pytest.mark.parametrize("tail", [b"", b"LIST" + struct.pack("<I", 40_000) + bytes(range(256)) * 160])
def test_a_wav_file_that_states_less_audio_than_it_has_is_read_whole(tmp_path: Path, tail: bytes) -> None:
    data = Clip(times=None, sound_seconds=4.0).write(tmp_path / "a.wav").read_bytes()
    start = data.index(b"data") + 4
    count = int.from_bytes(data[start : start + 4], "little")
    stated = count if tail else count // 2
    (tmp_path / "b.wav").write_bytes(data[:start] + struct.pack("<I", stated) + data[start + 4 :] + tail)
    _, samples, lines = read(tmp_path / "b.wav")
    np.testing.assert_allclose(click_times(0.0, samples), np.arange(8) / 2 + 0.25, atol=0.01)
    assert len(samples) == 64_000 and [("states less" in line) for line in lines] == ([] if tail else [True])


def sound(path: Path, codec: str, rate: int) -> bytes:
    """Two seconds of mono audio alone."""
    return Clip(times=None, sound_codec=codec, sound_rate=rate, layout="mono").write(path).read_bytes()


def test_bare_audio_whose_rate_changes_is_read_whole(tmp_path: Path) -> None:
    parts = [sound(tmp_path / f"{rate}.aac", "aac", rate) for rate in (48_000, 44_100, 16_000)]
    (tmp_path / "rates.aac").write_bytes(parts[0] + b"junk" * 500 + parts[1] + parts[2])
    _, samples, _ = read(tmp_path / "rates.aac")
    clicks = np.array(click_times(0.0, samples))
    assert len(clicks) == 12 and abs(len(samples) / 16_000 - 6.15) < 0.1
    np.testing.assert_allclose(np.diff(clicks.reshape(3, 4), axis=1), 0.5, atol=0.02)


@pytest.mark.parametrize("links", ["of", "ofo", "fof", "ooffo"])
def test_chained_ogg_is_read_on_where_its_codec_changes(tmp_path: Path, links: str) -> None:
    parts = {"o": sound(tmp_path / "o.ogg", "libopus", 48_000), "f": sound(tmp_path / "f.ogg", "flac", 44_100)}
    (tmp_path / "chained.ogg").write_bytes(b"".join(parts[link] for link in links))
    _, samples, _ = read(tmp_path / "chained.ogg")
    np.testing.assert_allclose(click_times(0.0, samples), np.arange(4 * len(links)) / 2 + 0.25, atol=0.03)


@pytest.mark.parametrize(("orientation", "shape"), [(1, (48, 64)), (6, (64, 48)), (8, (64, 48)), (3, (48, 64))])
def test_a_photo_with_exif_is_shown_as_it_says(tmp_path: Path, orientation: int, shape: tuple[int, int]) -> None:
    image = np.full((48, 64, 3), 40, np.uint8)
    image[:24, :32] = 255
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    entry = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    frames, _, _ = read(tmp_path / "a.jpg")
    shown = frames[0].image
    assert shown.shape[:2] == shape
    y, x = {1: (4, 4), 6: (4, -4), 3: (-4, -4), 8: (-4, 4)}[orientation]
    assert shown[y, x].min() > 200 and shown[-y, -x].max() < 80


def test_a_transport_stream_whose_audio_changes_its_codec_is_read_whole(tmp_path: Path) -> None:
    names = ("aac", "mp2", "aac")
    parts = [Clip(sound_codec=name).write(tmp_path / f"{number}.ts") for number, name in enumerate(names)]
    (tmp_path / "joined.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, samples, lines = read(tmp_path / "joined.ts")
    assert len(frames) >= 148 and len(click_times(0.0, samples)) == 12
    assert any("another codec (mp2)" in line for line in lines)


def test_a_transport_stream_whose_video_changes_its_codec_is_read_on(tmp_path: Path) -> None:
    names = ("libx264", "libx265", "libx264")
    parts = [Clip(sound_codec="aac", video_codec=name).write(tmp_path / f"{n}.ts") for n, name in enumerate(names)]
    (tmp_path / "joined.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, _, lines = read(tmp_path / "joined.ts")
    assert len(frames) >= 140 and np.diff([frame.time for frame in frames]).max() < 0.3
    assert any("video goes on in another codec (hevc)" in line for line in lines)


def test_a_file_that_grows_is_read_to_where_it_ends_and_reported(tmp_path: Path) -> None:
    whole = Clip(times=tuple(np.arange(200) / 25), sound_seconds=8.0, options={"live": "1"}).write(tmp_path / "a.mkv")
    data, path = whole.read_bytes(), tmp_path / "growing.mkv"
    path.write_bytes(data[: len(data) // 3])
    lines: list[str] = []
    reader = FileReader(path, notify=lines.append)
    frames = 0
    for item in reader:
        frames += isinstance(item, Frame)
        if isinstance(item, Frame) and frames == 30:
            path.write_bytes(data[: 2 * len(data) // 3])
    reader.close()
    assert 120 <= frames <= 140 and len(lines) == 1 and "grew while it was read" in lines[0]


def boxes(data: bytes, start: int) -> list[bytes]:
    """The boxes of an MP4 file from byte ``start`` on."""
    found = []
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        found.append(data[start : start + size])
        start += size
    return found


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def edited(data: bytes, edits: dict[int, list[tuple[int, int]]]) -> bytes:
    """An MP4 file, its index at its end, with other edits by track: (milliseconds, first time in the track's own units;
    −1: nothing)."""
    *before, index = boxes(data, 0)
    parts, track = [], 0
    for part in boxes(index, 8):
        if part[4:8] == b"trak":
            inner = [each for each in boxes(part, 8) if each[4:8] != b"edts"]
            table = b"".join(struct.pack(">IiHH", *edit, 1, 0) for edit in edits[track])
            edit_list = box(b"elst", struct.pack(">II", 0, len(edits[track])) + table)
            part = box(b"trak", b"".join([inner[0], box(b"edts", edit_list), *inner[1:]]))
            track += 1
        parts.append(part)
    return b"".join([*before, box(b"moov", b"".join(parts))])


def test_a_file_with_several_edits_is_read_as_edited(tmp_path: Path) -> None:
    clip = Clip(times=tuple(np.arange(100) / 25), sound_seconds=4.0, sound_codec="aac").write(tmp_path / "a.mp4")
    video, audio = [(1000, -1), (1000, 180_000), (1000, 0)], [(1000, 97_024), (1000, 1024)]
    (tmp_path / "edited.mp4").write_bytes(edited(clip.read_bytes(), {0: video, 1: audio}))
    frames, samples, lines = read(tmp_path / "edited.mp4")
    assert len(frames) == 50 and not any("clock" in line for line in lines)
    np.testing.assert_allclose([frame.time for frame in frames], 1 + np.arange(50) / 25)
    greys = [int(frame.image[100, 140, 0]) for frame in frames]
    np.testing.assert_allclose(greys, [4 * n % 200 for n in (*range(50, 75), *range(25))], atol=5)
    np.testing.assert_allclose(click_times(0.0, samples), [0.25, 0.75, 1.25, 1.75], atol=0.03)


def test_an_mp4_file_without_its_index_is_named(tmp_path: Path) -> None:
    data = Clip(sound_codec="aac").write(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(InputError, match="without its index, as a recording that was broken off"):
        FileReader(tmp_path / "cut.mp4")


def test_an_empty_edit_in_the_middle_shows_nothing(tmp_path: Path) -> None:
    clip = Clip(times=tuple(np.arange(100) / 25), sound_seconds=4.0, sound_codec="aac").write(tmp_path / "a.mp4")
    video, audio = [(1000, 0), (1000, -1), (1000, 90_000)], [(1000, 1024), (1000, -1), (1000, 49_024)]
    (tmp_path / "edited.mp4").write_bytes(edited(clip.read_bytes(), {0: video, 1: audio}))
    frames, samples, _ = read(tmp_path / "edited.mp4")
    np.testing.assert_allclose([frame.time for frame in frames], [*np.arange(25) / 25, *(2 + np.arange(25) / 25)])
    np.testing.assert_allclose(click_times(0.0, samples), [0.25, 0.75, 2.25, 2.75], atol=0.03)


class LateStreams:
    """A container whose demuxing ends as PyAV's does where more streams have appeared: in an IndexError."""

    def demux(self, *streams: object) -> Iterator[str]:
        yield "packet"
        raise IndexError("list index out of range")


def test_streams_that_appear_late_end_no_run(tmp_path: Path) -> None:
    with av.open(str(Clip().write(tmp_path / "a.mkv"))) as container:
        packets: list[Any] = list(demuxed(LateStreams(), container.streams))  # type: ignore[arg-type]
        assert packets[0] == "packet" and [packet.stream_index for packet in packets[1:]] == [0, 1]
    data = Clip(sound_codec="aac").write(tmp_path / "a.flv").read_bytes()
    text = b"\x02\0\x0aonTextData\x08\0\0\0\0\0\0\x09"  # makes a third stream
    header = b"\x12" + len(text).to_bytes(3, "big") + b"\0\x03\xe8\0\0\0\0"
    (tmp_path / "late.flv").write_bytes(data + header + text + (11 + len(text)).to_bytes(4, "big"))
    frames, samples, _ = read(tmp_path / "late.flv")
    assert len(frames) == 50 and len(click_times(0.0, samples)) == 4
