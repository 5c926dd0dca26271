"""The recording: every frame at its time, the audio in step, whole whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import Snapshot
from speakerlight.core.timebase import SAMPLE_RATE
from speakerlight.outputs.recorder import Recorder
from tests.stream.outputs.made import frame, silence, snapshot


def plain(frame: Frame, snapshot: Snapshot | None) -> Image:
    return frame.image


@dataclass
class Movie:
    times: list[float]
    images: list[Image]
    audio: np.ndarray
    audio_start: float


def read(path: Path) -> Movie:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        has_audio = bool(container.streams.audio)
    received = []
    if has_audio:
        with av.open(str(path)) as container:
            received = list(container.decode(audio=0))
    return Movie(
        [float(each.time or 0) for each in frames],
        [np.asarray(each.to_ndarray(format="bgr24"), np.uint8) for each in frames],
        np.concatenate([each.to_ndarray()[0] for each in received]) if received else np.zeros(0),
        float(received[0].time or 0) if received else 0.0,
    )


def click(time: float, at: float, seconds: float) -> AudioChunk:
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    first = round((at - time) * SAMPLE_RATE)
    if 0 <= first < len(samples):
        rest = samples[first : first + 80]
        rest[:] = 0.9 * (-1.0) ** (np.arange(len(rest)) // 4)
    return AudioChunk(time, samples)


def click_time(movie: Movie) -> float:
    return movie.audio_start + int(np.argmax(np.abs(movie.audio) > 0.3)) / SAMPLE_RATE


def seen_at(movie: Movie) -> float:
    return next(time for time, image in zip(movie.times, movie.images, strict=True) if image.mean() > 150)


def test_flash_and_click_of_one_moment_are_recorded_at_that_moment(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain)
    times = [k / 25 + 0.012 * (k % 3) for k in range(150)]
    for k, time in enumerate(times):
        recorder.audio(click(k / 25, times[100], 1 / 25))
        recorder.frame(frame(time, 255 if k >= 100 else 0), snapshot(time))
    recorder.close()
    movie = read(tmp_path / "o.mp4")
    np.testing.assert_allclose(movie.times, times, atol=1e-4)
    assert seen_at(movie) == pytest.approx(times[100], abs=1e-4)
    assert click_time(movie) == pytest.approx(times[100], abs=0.003)


def test_a_drifting_microphone_stays_in_step_over_a_long_run(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain)
    for k in range(1500):
        time = k / 5
        recorder.audio(click(time, 290.0, 0.2 * 1.0003))
        recorder.frame(frame(time, 255 if time >= 290 else 0, 64, 48), None)
    recorder.close()
    movie = read(tmp_path / "o.mp4")
    assert seen_at(movie) == pytest.approx(290.0, abs=1e-3)
    assert click_time(movie) == pytest.approx(290.0, abs=0.02)
    assert len(movie.audio) / SAMPLE_RATE == pytest.approx(300.0, abs=0.25)


def test_missing_audio_is_silence(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain)
    for k in range(100):
        if not 25 <= k < 75:
            recorder.audio(click(k / 25, 3.4, 1 / 25))
        recorder.frame(frame(k / 25), None)
    recorder.close()
    movie = read(tmp_path / "o.mp4")
    assert click_time(movie) == pytest.approx(3.4, abs=0.003)
    assert len(movie.audio) / SAMPLE_RATE == pytest.approx(4.0, abs=0.13)


def test_audio_that_comes_ahead_of_the_frame_waits_for_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain)
    for k in range(50):
        recorder.audio(click(k / 25, 1.0, 1 / 25))
    for k in range(50):
        recorder.frame(frame(k / 25), None)
    recorder.close()
    assert click_time(read(tmp_path / "o.mp4")) == pytest.approx(1.0, abs=0.003)


def test_the_first_frame_stands_from_the_beginning_so_that_file_time_is_event_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain)
    for k in range(10):
        recorder.frame(frame(0.7 + k / 25, 255 if k >= 5 else 0), None)
    recorder.close()
    movie = read(tmp_path / "o.mp4")
    assert movie.times[0] == 0.0
    assert seen_at(movie) == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(("width", "height"), [(321, 181), (10, 10), (3, 5)])
def test_any_size_can_be_recorded(tmp_path: Path, width: int, height: int) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain, has_audio=False)
    for k in range(5):
        recorder.frame(frame(k / 25, 200, width, height), None)
    recorder.close()
    movie = read(tmp_path / "o.mp4")
    assert movie.images[0].shape == (height + height % 2, width + width % 2, 3)
    assert abs(movie.images[0].astype(int) - 200).max() < 8, "no black edge"
    assert len(movie.audio) == 0


def test_a_camera_that_comes_late_leaves_all_audio_in_the_recording(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "late.mp4", plain, frame_size=(64, 48))
    for second in range(45):
        recorder.audio(click(second, 5.5, 1.0))
    recorder.frame(frame(44.0, 200, 64, 48), snapshot(44.0))
    recorder.close()
    movie = read(tmp_path / "late.mp4")
    assert click_time(movie) == pytest.approx(5.5, abs=0.03)
    assert len(movie.audio) >= 44 * SAMPLE_RATE
    assert movie.times[0] == 0.0 and movie.images[0].max() < 20
    assert movie.times[-1] == pytest.approx(44.0, abs=0.01) and movie.images[-1].min() > 150


def test_a_source_that_changes_its_size_is_fitted_in(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain)
    recorder.frame(frame(0.0, 200, 320, 180), None)
    recorder.frame(frame(0.04, 200, 180, 320), None)
    recorder.close()
    upright = read(tmp_path / "o.mp4").images[1]
    assert upright.shape == (180, 320, 3)
    assert upright[90, 160].mean() > 180
    assert upright[90, 20].mean() < 20


def test_a_frame_that_is_not_later_is_dropped(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain)
    for time in (0.0, 0.04, 0.04, 0.03, 0.08):
        recorder.frame(frame(time), None)
    recorder.close()
    assert len(read(tmp_path / "o.mp4").times) == 3


def test_without_x264_the_older_mpeg4_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, mode: str) -> None:
        raise ValueError(name)

    monkeypatch.setattr(av.codec, "Codec", missing)
    recorder = Recorder(tmp_path / "o.mp4", plain)
    for k in range(30):
        recorder.audio(click(k / 25, 0.8, 1 / 25))
        recorder.frame(frame(k / 25, 255 if k >= 20 else 0), None)
    recorder.close()
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    movie = read(tmp_path / "o.mp4")
    assert seen_at(movie) == pytest.approx(0.8, abs=1e-3)
    assert click_time(movie) == pytest.approx(0.8, abs=0.003)


def test_a_run_without_a_frame_leaves_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "o.mp4", plain)
    recorder.audio(silence(0.0, 0.5))
    recorder.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/o.mp4", "o.avi", "in.mp4"])
def test_a_bad_place_is_reported_before_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.mp4").touch()
    with pytest.raises(InputError, match="--output"):
        Recorder(tmp_path / name, plain, sources=[str(tmp_path / "in.mp4")])


# A process that is started in a shell's background ignores Ctrl-C, and so do its children, until they say otherwise.
ENDLESS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys
from pathlib import Path
from speakerlight.outputs.recorder import Recorder
from tests.stream.outputs.made import frame, silence
recorder = Recorder(Path(sys.argv[1]), lambda frame, snapshot: frame.image)
try:
    for k in range(10**9):
        recorder.audio(silence(k / 25, 1 / 25))
        recorder.frame(frame(k / 25, k % 256), None)
        if k == 300:
            print("running", flush=True)
except KeyboardInterrupt:
    pass
finally:
    recorder.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_file_plays_after_ctrl_c_and_after_a_crash(tmp_path: Path, ending: signal.Signals) -> None:
    path = tmp_path / "o.mp4"
    with subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE) as run:
        try:
            assert run.stdout
            assert run.stdout.readline() == b"running\n"
            run.send_signal(ending)
            assert run.wait(timeout=20) == (0 if ending is signal.SIGINT else -ending)
        finally:
            run.kill()
    movie = read(path)
    assert len(movie.times) >= 200
    np.testing.assert_allclose(np.diff(movie.times), 0.04, atol=1e-4)
    assert len(movie.audio) / SAMPLE_RATE == pytest.approx(movie.times[-1], abs=0.2)


def test_a_stopped_recording_holds_its_frame_and_is_silent(tmp_path: Path) -> None:
    on = True
    path = tmp_path / "stopped.mp4"
    recorder = Recorder(path, lambda frame, snapshot: frame.image, is_recording=lambda: on)
    for k in range(75):
        on = not 25 <= k < 50
        recorder.audio(AudioChunk(k / 25, np.full(640, 0.5, np.float32)))
        recorder.frame(Frame(k / 25, np.full((64, 64, 3), 3 * k, np.uint8)), None)
    recorder.close()
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    gaps = np.diff(times)
    assert gaps.max() == pytest.approx(1.04, abs=0.01) and len(times) == 50
    loud = [float(np.abs(samples[int(t * 16000) : int((t + 0.5) * 16000)]).mean()) > 0.2 for t in (0.2, 1.2, 2.2)]
    assert loud == [True, False, True]
