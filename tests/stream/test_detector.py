"""The speaker detector: a file's events from its frames and audio, however they are pushed; wrong input is refused."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from speakerlight import detector as module
from speakerlight.core.errors import InputError
from speakerlight.core.events import Event, ScoresEvent, SessionEvent, SpeakerEvent, SummaryEvent
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.detector import FRAMES_WAIT_SECONDS, SpeakerDetector
from speakerlight.engine import Engine
from speakerlight.run_settings import RunSettings
from speakerlight.session import run
from speakerlight.sources import open_reader
from tests.data import DEV, needs_clips
from tests.stream.standin import StandInScorer, stand_in

SCENES = [
    "wangyz1999__syncnet-speaker-diarization__vids__input.mp4",
    "mexca__mexca__tests__test_files__test_video_audio_5_seconds.mp4",
]

DEMO = "demo:people=2"
DEMO_SECONDS = 4.0

RATE = 16_000

Block = tuple[float, npt.NDArray[Any], int]
"""Time of the first sample in seconds, samples, and their rate."""

Shot = tuple[float, Image]
"""Time in seconds and frame."""


@pytest.fixture(scope="module")
def models() -> None:
    try:
        SpeakerDetector().close()
    except InputError as error:
        pytest.skip(str(error))


def fast_events(video: str, seconds: float | None = None) -> list[Event]:
    """What ``--fast`` reports, but for the events of the session as such."""
    events: list[Event] = []
    settings = RunSettings(video=video, fast=True, duration_seconds=seconds, device="cpu")
    run(settings, on_event=events.append)
    return [event for event in events if not isinstance(event, SessionEvent | SummaryEvent)]


def decoded(path: Path) -> tuple[list[Shot], list[Block]]:
    """Frames and audio of a file that starts at 0, as any program would decode them: not through our reader."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    shots = [(frame.time or 0.0, np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)) for frame in frames]
    blocks: list[Block] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()
            samples = samples.reshape(-1, frame.layout.nb_channels) if frame.format.is_packed else samples.T
            blocks.append((frame.time or 0.0, samples, frame.sample_rate))
    return shots, blocks


def demo() -> tuple[list[Shot], list[Block]]:
    shots, blocks = [], []
    for item in open_reader(DEMO, None):
        if item.time >= DEMO_SECONDS:
            break
        if isinstance(item, Frame):
            shots.append((item.time, item.image))
        else:
            blocks.append((item.time, item.samples, RATE))
    return shots, blocks


def in_blocks(blocks: list[Block], size: int) -> list[Block]:
    """The same audio in blocks of ``size`` samples."""
    start, _, rate = blocks[0]
    samples = np.concatenate([samples for _, samples, _ in blocks])
    return [(start + at / rate, samples[at : at + size], rate) for at in range(0, len(samples), size)]


def pushed(detector: SpeakerDetector, shots: list[Shot], blocks: list[Block]) -> list[Event]:
    """Push both in order of time and finish."""
    events: list[Event] = []
    waiting = list(blocks)
    for time, image in shots:
        while waiting and waiting[0][0] <= time:
            events += detector.push_audio(*waiting.pop(0))
        events += detector.push_frame(time, image)
    for block in waiting:
        events += detector.push_audio(*block)
    return events + detector.finish()


@needs_clips
@pytest.mark.parametrize("scene", SCENES)
def test_a_files_events_are_those_of_fast(models: None, scene: str) -> None:
    path = DEV / "scenes" / scene
    with SpeakerDetector(device="cpu") as detector:
        assert pushed(detector, *decoded(path)) == fast_events(str(path))


def test_the_demos_events_are_those_of_fast_in_blocks_of_any_size_in_two_threads_at_once(models: None) -> None:
    shots, blocks = demo()
    expected = fast_events(DEMO, DEMO_SECONDS - 0.02)
    assert any(isinstance(event, SpeakerEvent) and event.id is not None for event in expected)
    results: dict[int, list[Event]] = {}

    def work(size: int) -> None:
        with SpeakerDetector(device="cpu") as detector:
            results[size] = pushed(detector, shots, in_blocks(blocks, size))

    threads = [threading.Thread(target=work, args=(size,)) for size in (37 * 16, 10**6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(events == expected for events in results.values()) and len(results) == 2


# What is pushed, over the stand-in engine


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """Detectors get the stand-in engine, which reports the loudness of the audio as speech and the last row as box."""
    opened: list[Engine] = []

    @contextmanager
    def engine(settings: RunSettings, models: object, *, has_audio: bool) -> Iterator[Engine]:
        opened.append(stand_in(has_audio))
        yield opened[-1]

    monkeypatch.setattr(module, "open_engine", engine)
    monkeypatch.setattr(module, "load_models", lambda settings: SimpleNamespace())
    return opened


def grey(level: int = 0) -> Image:
    return np.full((8, 8, 3), level, np.uint8)


def frames_and_tone(seconds: float, start: float = 0.0) -> tuple[list[Shot], list[Block]]:
    shots = [(start + number / 25, grey(number % 200)) for number in range(round(25 * seconds))]
    tone = 0.5 * np.sin(2 * np.pi * 440 / RATE * np.arange(round(RATE * seconds)))
    return shots, [(start, tone.astype(np.float32), RATE)]


def scores(events: list[Event]) -> list[ScoresEvent]:
    return [event for event in events if isinstance(event, ScoresEvent)]


def test_the_interleaving_does_not_matter(stand_ins: list[Engine]) -> None:
    shots, blocks = frames_and_tone(8.0)
    expected = pushed(SpeakerDetector(), shots, in_blocks(blocks, 640))
    assert len(scores(expected)) == 200
    assert pushed(SpeakerDetector(), shots, blocks) == expected
    frames_first = SpeakerDetector()
    events = [event for shot in shots for event in frames_first.push_frame(*shot)]
    assert len(events) <= 30, "beyond the lead, frames wait for their audio"
    assert events + frames_first.push_audio(*blocks[0]) + frames_first.finish() == expected


def test_events_come_as_soon_as_they_are_decidable(stand_ins: list[Engine]) -> None:
    shots, blocks = frames_and_tone(2.0)
    detector = SpeakerDetector()
    for number, (shot, block) in enumerate(zip(shots, in_blocks(blocks, 640), strict=True)):
        events = detector.push_audio(*block) + detector.push_frame(*shot)
        assert len(scores(events)) == (number >= 4)


@pytest.mark.parametrize("start", [0.5, 123_456.7, -3.0])
def test_times_are_those_of_the_caller(stand_ins: list[Engine], start: float) -> None:
    events = scores(pushed(SpeakerDetector(), *frames_and_tone(2.0, start)))
    assert events[0].time == pytest.approx(start, abs=0.041) and events[-1].time == pytest.approx(
        start + 1.96, abs=0.041
    )
    assert all(event.speech > 0.3 for event in events[1:-2])


def test_audio_may_begin_before_the_first_frame_and_what_begins_long_before_is_dropped(stand_ins: list[Engine]) -> None:
    detector = SpeakerDetector()
    detector.push_frame(100.0, grey())
    assert detector.push_audio(90.0, np.ones(RATE, np.float32), RATE) == []
    events = [event for n in range(1, 50) for event in detector.push_frame(100 + n / 25, grey())]
    events += detector.push_audio(99.5, np.full(3 * RATE, 0.5, np.float32), RATE) + detector.finish()
    assert [event.speech for event in scores(events)] == [0.5] * 62


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.full(48_000, 0.25), 48_000),
        (np.full(44_100, 0.25, np.float32), 44_100),
        (np.full(8_000, 8192, np.int16), 8_000),
        (np.full((96_000, 2), 0.25), 96_000),
        (np.full((16_000, 6), 0.25, np.float32), 16_000),
        (np.full((22_050, 1), 8192, np.int16), 22_050),
    ],
)
def test_any_rate_type_and_layout_is_accepted(stand_ins: list[Engine], samples: npt.NDArray[Any], rate: int) -> None:
    shots, _ = frames_and_tone(1.0)
    events = scores(pushed(SpeakerDetector(), shots, [(0.0, samples, rate)]))
    assert [event.speech for event in events[2:-2]] == pytest.approx([0.25] * 21, abs=0.02)


def test_what_is_not_a_number_counts_as_silence_and_no_samples_as_none(stand_ins: list[Engine]) -> None:
    samples = np.array([math.nan, math.inf, -math.inf, 0.0] * 4_000)
    events = scores(
        pushed(SpeakerDetector(), frames_and_tone(1.0)[0], [(0.0, samples[:0], RATE), (0.0, samples, RATE)])
    )
    assert len(events) == 25 and {event.speech for event in events} == {0.0}


def test_damaged_audio_of_several_channels_gives_the_chunks_of_a_file(tmp_path: Path, stand_ins: list[Engine]) -> None:
    path = tmp_path / "damaged.wav"
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal((2 * 48_000, 3))).astype(np.float32)
    samples[1000, 0], samples[30_000:30_010, 2], samples[70_000, 1], samples[80_000] = np.nan, np.inf, -1e9, 9.0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=48_000, layout="2.1")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="2.1")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(list(stream.encode(frame)) + list(stream.encode(None)))
    file = np.concatenate([item.samples for item in open_reader(str(path), None) if isinstance(item, AudioChunk)])
    SpeakerDetector(has_video=False).push_audio(0.0, samples, 48_000)
    scorer = stand_ins[0].scorer
    assert isinstance(scorer, StandInScorer)
    received = scorer.samples
    assert np.isfinite(file).all() and np.abs(file).max() < 8
    assert len(received) > 1.9 * RATE and np.array_equal(received, file[: len(received)])


def test_gaps_are_silence_overlaps_are_dropped_and_jitter_is_joined(stand_ins: list[Engine]) -> None:
    half = np.full(RATE // 2, 0.5, np.float32)
    blocks = [(0.0, half, RATE), (1.0, half, RATE), (1.25, half, RATE), (1.76, half, RATE)]
    events = scores(pushed(SpeakerDetector(), frames_and_tone(2.2)[0], blocks))
    silent = [round(event.time, 2) for event in events if event.speech == 0]
    assert silent[0] == 0.52 and 0.92 in silent
    assert all(0.5 < time < 1.0 for time in silent)


def test_audio_that_never_comes_counts_as_silence_after_a_minute(stand_ins: list[Engine]) -> None:
    detector = SpeakerDetector()
    count = round(25 * (FRAMES_WAIT_SECONDS + 10))
    events = scores([event for n in range(count) for event in detector.push_frame(n / 25, grey())])
    assert 9.0 <= events[-1].time <= 12.0
    assert len(events) + len(scores(detector.finish())) == count


def test_one_stream_alone_is_enough_when_declared(stand_ins: list[Engine]) -> None:
    shots, blocks = frames_and_tone(2.0)
    silent = SpeakerDetector(has_audio=False)
    assert len(scores(pushed(silent, shots, []))) == 50
    blind = SpeakerDetector(has_video=False)
    received = scores(blind.push_audio(*blocks[0]) + blind.finish())
    assert len(received) >= 50 and not any(event.faces for event in received) and received[10].speech > 0.3


def test_a_buffer_may_be_used_again(stand_ins: list[Engine]) -> None:
    shots, _ = frames_and_tone(1.0)
    expected = pushed(SpeakerDetector(has_audio=False), shots, [])
    reusing, buffer, events = SpeakerDetector(has_audio=False), grey(), list[Event]()
    for time, image in shots:
        buffer[:] = image
        events += reusing.push_frame(time, buffer)
        buffer[:] = 255
    assert events + reusing.finish() == expected


def test_wrong_input_is_refused_and_harmless(stand_ins: list[Engine]) -> None:
    detector = SpeakerDetector()
    detector.push_frame(1.0, grey())
    detector.push_audio(1.0, np.zeros(160, np.float32), RATE)
    assert detector.push_frame(1.0, grey()) == []
    for time in (0.9, math.nan, math.inf):
        with pytest.raises(ValueError, match="time"):
            detector.push_frame(time, grey())
        with pytest.raises(ValueError, match="time"):
            detector.push_audio(time, np.zeros(160, np.float32), RATE)
    wrong: list[npt.NDArray[Any]] = [grey()[..., 0], grey() / 2, grey()[:0], np.zeros((8, 8, 4), np.uint8)]
    for image in wrong:
        with pytest.raises(ValueError, match="a frame is uint8"):
            detector.push_frame(2.0, image)
    samples: npt.NDArray[Any]
    for samples in (np.zeros(160, np.int32), np.zeros((2, 480)), np.zeros((2, 2, 2)), np.zeros(())):
        with pytest.raises(ValueError, match="audio is"):
            detector.push_audio(2.0, samples, RATE)
    for rate in (0, -16_000, 0.5):
        with pytest.raises(ValueError, match="rate"):
            detector.push_audio(2.0, np.zeros(160, np.float32), rate)  # type: ignore[arg-type]
    assert len(scores(detector.push_frame(1.04, grey()) + detector.finish())) == 2
    for call in (detector.finish, lambda: detector.push_frame(3.0, grey())):
        with pytest.raises(ValueError, match="finished"):
            call()
    with pytest.raises(ValueError, match="without audio"):
        SpeakerDetector(has_audio=False).push_audio(0.0, np.zeros(160, np.float32), RATE)
    with pytest.raises(ValueError, match="needs video or audio"):
        SpeakerDetector(has_video=False, has_audio=False)


def test_settings_that_cannot_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--max-faces 0"):
        SpeakerDetector(max_faces=0)
    with pytest.raises(InputError, match=r"missing\.pth"):
        SpeakerDetector(model=str(tmp_path / "missing.pth"))


def test_time_goes_on_without_frames(stand_ins: list[Engine]) -> None:
    shots, blocks = frames_and_tone(6.0)
    events = scores(pushed(SpeakerDetector(), shots[:25] + shots[125:], in_blocks(blocks, 640)))
    assert len(events) == 150
    assert [len(event.faces) for event in events[60:90]] == [0] * 30


def test_frames_that_never_come_count_as_empty(stand_ins: list[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AUDIO_WAITS_SECONDS", 5.0)
    detector = SpeakerDetector()
    _, blocks = frames_and_tone(20.0)
    events = scores([event for block in in_blocks(blocks, 640) for event in detector.push_audio(*block)])
    assert events and events[-1].time == pytest.approx(15, abs=1.5)
    assert not any(event.faces for event in events)
