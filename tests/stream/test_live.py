"""The live driver: the same results as fast, in real time, never late, and ended whole within a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from speakerlight.clock import SessionClock
from speakerlight.composer import ViewComposer
from speakerlight.core.events import ControlEvent, LoadEvent, Percentiles
from speakerlight.core.faces.tracking import TrackedFace
from speakerlight.core.faces.vision import FrameTracks
from speakerlight.core.framing import View
from speakerlight.core.geometry import Box
from speakerlight.core.media import AudioChunk, Frame, Image
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.engine import Engine, StageError
from speakerlight.live import WINDOW_POLL_SECONDS, LiveReport, LiveRun, OverlayStatus, with_newest_boxes
from speakerlight.outputs.hub import OutputHub
from speakerlight.rings import FrameRing
from speakerlight.sources.files import FileReader
from speakerlight.sources.pacing import PacedSource
from speakerlight.sources.source import LiveSource, ThreadedSource
from speakerlight.window import Action, KeyPress
from tests.stream.sources.conftest import Clip
from tests.stream.standin import StandInScorer, StandInVision, stand_in
from tests.stream.test_fast import Kept, play


class Camera(ThreadedSource):
    """Endless grey frames, without audio. ``trouble`` after the tenth, if any."""

    def __init__(self, rate: float = 25.0, fails_with: str | None = None) -> None:
        super().__init__("made-up camera", FrameRing(4), has_audio=False)
        self._rate, self._fails_with = rate, fails_with

    def _capture(self, clock: SessionClock) -> None:
        assert self.frames is not None
        number = 0
        while clock.wait_until(number / self._rate, self._stopping):
            self.frames.push(Frame(clock.now(), np.full((48, 64, 3), number % 200, np.uint8)))
            number += 1
            if self._fails_with and number == 10:
                raise OSError(self._fails_with)


class Still(Camera):
    """No frame ever."""

    def _capture(self, clock: SessionClock) -> None:
        self._stopping.wait()


class StandInWindow:
    """Counts what it shows; ``typed`` gives the keys."""

    def __init__(self, typed: Callable[[], list[KeyPress]]) -> None:
        self.shown = 0
        self.keys = typed

    def show(self, image: Image) -> None:
        self.shown += 1


def live(source: LiveSource, engine: Engine, kept: Kept, **given: object) -> LiveRun:
    hub = OutputHub([kept], pytest.fail)
    settings = {"composer": ViewComposer(View.BOXES), "window": None, "duration_seconds": None, "notify": pytest.fail}
    return LiveRun(source, engine, hub, status=OverlayStatus(), **settings | given)  # type: ignore[arg-type]


def timed(run: LiveRun, stop: threading.Event | None = None) -> tuple[LiveReport, float]:
    begun = time.monotonic()
    return run.run(stop or threading.Event()), time.monotonic() - begun


def after(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 1.0
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("rate", [25, 30])
def test_a_file_in_real_time_gives_what_fast_gives_in_its_own_duration(tmp_path: Path, rate: int) -> None:
    path = Clip(times=tuple(np.arange(2 * rate) / rate)).write(tmp_path / "clip.mkv")
    kept, expected = Kept(), play(path)
    report, seconds = timed(live(PacedSource(FileReader(path)), stand_in(), kept))
    assert kept.snapshots == expected.snapshots
    assert kept.frames == expected.frames and kept.audio_times == expected.audio_times
    assert report.dropped_frames == 0
    assert seconds == pytest.approx(2.0, abs=0.5)


def test_the_same_without_audio_and_without_frames(tmp_path: Path) -> None:
    mute = Clip(times=tuple(np.arange(15) / 25), sound_seconds=None).write(tmp_path / "mute.mkv")
    blind = Clip(times=None, sound_seconds=0.6).write(tmp_path / "blind.wav")
    for path, has_audio in ((mute, False), (blind, True)):
        kept = Kept()
        live(PacedSource(FileReader(path)), stand_in(has_audio), kept).run(threading.Event())
        assert kept.snapshots == play(path).snapshots
        assert len(kept.snapshots) >= 15


def test_it_ends_at_the_duration_as_fast_does(tmp_path: Path) -> None:
    path = Clip().write(tmp_path / "clip.mkv")
    kept = Kept()
    _, seconds = timed(live(PacedSource(FileReader(path)), stand_in(), kept, duration_seconds=1.0))
    assert kept.snapshots == play(path, duration=1.0).snapshots
    assert seconds < 1.6


def test_latency_is_measured_from_capture_to_overlay() -> None:
    report, _ = timed(live(Camera(), stand_in(False), Kept(), duration_seconds=1.0))
    assert report.latency.p50 is not None and report.latency.p95 is not None
    assert 0 < report.latency.p50 <= report.latency.p95 < 200


def test_it_ends_within_a_second_when_it_is_stopped() -> None:
    stop, kept = threading.Event(), Kept()
    after(0.5, stop.set)
    _, seconds = timed(live(Camera(), stand_in(False), kept), stop)
    assert seconds < 1.5
    assert [snapshot.tick for snapshot in kept.snapshots] == list(range(len(kept.snapshots)))


def test_a_run_without_viewers_draws_nothing() -> None:
    kept = Kept()
    report, seconds = timed(live(Camera(), stand_in(False), kept, composer=None, duration_seconds=0.5))
    assert len(kept.snapshots) >= 8 and seconds < 1.5
    assert report.latency == Percentiles()


def test_q_ends_it() -> None:
    window = StandInWindow(lambda: [KeyPress(Action.QUIT)] if window.shown == 5 else [])
    _, seconds = timed(live(Camera(), stand_in(False), Kept(), window=window))
    assert window.shown == 5 and seconds < 1.2


def test_the_window_is_served_while_no_frame_comes() -> None:
    served: list[float] = []

    def keys() -> list[KeyPress]:
        served.append(time.monotonic())
        return [KeyPress(Action.QUIT)] if served[20:] else []

    window = StandInWindow(keys)
    _, seconds = timed(live(Still(), stand_in(False), Kept(), window=window))
    assert window.shown == 0 and seconds < 2.5
    assert np.median(np.diff(served)) == pytest.approx(WINDOW_POLL_SECONDS, abs=0.01)


def test_a_frame_is_shown_as_soon_as_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[float] = []

    class Prompt(StandInWindow):
        def show(self, image: Image) -> None:
            shown.append(time.monotonic())

    camera = Camera(rate=10)
    pushed: list[float] = []
    assert camera.frames is not None
    push = camera.frames.push

    def noted(frame: Frame) -> None:
        pushed.append(time.monotonic())
        push(frame)

    monkeypatch.setattr(camera.frames, "push", noted)
    live(camera, stand_in(False), Kept(), window=Prompt(list), duration_seconds=1.0).run(threading.Event())
    assert len(shown) > 5
    waits = [at - max(then for then in pushed if then <= at) for at in shown]
    assert np.median(waits) < WINDOW_POLL_SECONDS / 3, "it does not wait for the window's next turn"


def test_a_source_that_stands_still_ends_at_the_duration() -> None:
    _, seconds = timed(live(Still(), stand_in(False), Kept(), duration_seconds=0.2))
    assert seconds < 1.2


def test_what_was_captured_but_not_scored_until_the_end_is_reported() -> None:
    """The third look takes longer than the rest of the run, as the first one of a busy machine may."""

    class Stuck(StandInVision):
        def process(self, tick: int, time: float, image: Image, stride: int = 1) -> FrameTracks:
            self.seconds = 1.2 if tick == 2 else 0.0
            return super().process(tick, time, image, stride)

    run = live(Camera(), Engine(Stuck(), StandInScorer(False)), Kept(), duration_seconds=0.5)
    report, _ = timed(run)
    assert report.captured_seconds == 0.5, "a duration that was reached counts as a whole"
    assert report.unscored_seconds == pytest.approx(0.5 - 1 / 25, abs=0.1)


def test_a_stage_that_fails_ends_the_run_with_one_line() -> None:
    class Failing(StandInScorer):
        def push_tracks(self, frame_tracks: Sequence[FrameTracks], stride: int = 1) -> None:
            raise RuntimeError("out of memory")

    run = live(Camera(), Engine(StandInVision(), Failing(False)), Kept())
    with pytest.raises(StageError, match=r"^scoring failed: RuntimeError: out of memory \(test_live.py:\d+\)$"):
        run.run(threading.Event())


def test_trouble_of_the_source_is_reported_once() -> None:
    lines: list[str] = []
    live(Camera(fails_with="pulled out"), stand_in(False), Kept(), notify=lines.append).run(threading.Event())
    assert lines == ["made-up camera: capture ended: pulled out"]


def test_a_machine_that_is_too_slow_sheds_load_and_reports_it() -> None:
    """A look takes 70 ms where 40 are there: only at detector stride 2 can it keep up."""
    kept = Kept()
    report, _ = timed(live(Camera(), Engine(StandInVision(0.07), StandInScorer(False)), kept, duration_seconds=5.5))
    lines = [event.level for event in kept.events if isinstance(event, LoadEvent)]
    assert lines and lines[:3] == [1, 2, 3]
    assert report.worst_level >= 3
    late = [snapshot.tick for snapshot in kept.snapshots if snapshot.time > 4.5]
    assert late and all(tick % 4 == 0 for tick in late[:-5])
    assert report.latency.p95 is not None and report.latency.p95 < 200, "the overlay must not wait for the scores"


def test_boxes_are_drawn_where_the_faces_are_now() -> None:
    old, new = Box(0, 0, 10, 10), Box(5, 0, 10, 10)
    snapshot = Snapshot(10, 0.4, 0.9, (FaceScore(1, old, 0.8, True),), SpeakingState.SPEAKING, 1, Lag(0.0, 0.0))
    people = tuple(TrackedFace(number, new, np.zeros((6, 2))) for number in (1, 2))
    shown = with_newest_boxes(snapshot, FrameTracks(14, 0.56, people, ()))
    assert shown is not None and shown.faces == (FaceScore(1, new, 0.8, True), FaceScore(2, new, 0.0, False))
    assert with_newest_boxes(snapshot, FrameTracks(10, 0.4, people, ())) is snapshot
    assert with_newest_boxes(None, FrameTracks(14, 0.56, people, ())) is None


def test_audio_and_frames_reach_the_outputs_in_order(tmp_path: Path) -> None:
    path, kept = Clip().write(tmp_path / "clip.mkv"), Kept()
    run = live(PacedSource(FileReader(path)), stand_in(), kept, duration_seconds=0.8)
    run.run(threading.Event())
    for times in (kept.frames, kept.audio_times, [snapshot.time for snapshot in kept.snapshots]):
        assert len(times) > 5 and all(a < b for a, b in pairwise(times))
    assert run.report().latency != Percentiles()


def test_audio_without_frames_keeps_the_scorer_fed() -> None:
    """Audio that comes while no frame does keeps the scorer fed."""
    received: list[AudioChunk] = []

    class Talking(Camera):
        def __init__(self) -> None:
            super().__init__()
            self.has_audio = True
            self._given = 0

        def _capture(self, clock: SessionClock) -> None:
            self._stopping.wait()

        def take_audio(self) -> list[AudioChunk]:
            assert self._clock is not None
            first, self._given = self._given, int(self._clock.now() * 16_000)
            return [AudioChunk(first / 16_000, np.zeros(self._given - first, np.float32))]

    class AudioEncoderStream(StandInScorer):
        def push_audio(self, chunks: Sequence[AudioChunk]) -> None:
            received.extend(chunks)

    live(Talking(), Engine(StandInVision(), AudioEncoderStream()), Kept(), duration_seconds=0.2).run(threading.Event())
    assert sum(len(chunk.samples) for chunk in received) > 0.1 * 16_000


def test_a_key_is_a_command_that_every_output_sees_as_an_event() -> None:
    kept, keys = Kept(), [KeyPress(Action.HOLD), KeyPress(Action.QUIT)]
    window = StandInWindow(lambda: [keys.pop(0)] if window.shown % 5 == 4 and keys else [])
    live(Camera(), stand_in(False), kept, window=window, duration_seconds=5.0).run(threading.Event())
    assert [event.command for event in kept.events if isinstance(event, ControlEvent)] == [
        {"type": "hold", "seconds": None}
    ]


def test_ticks_go_on_while_no_frame_comes_as_in_fast(tmp_path: Path) -> None:
    times = (*np.arange(10) / 25, *(3.6 + np.arange(5) / 25))
    path = Clip(times=times, sound_seconds=5.0).write(tmp_path / "gap.mkv")
    kept, expected = Kept(), play(path)
    live(PacedSource(FileReader(path)), stand_in(), kept).run(threading.Event())
    assert [snapshot.tick for snapshot in expected.snapshots] == list(range(125))
    faces = {snapshot.tick: len(snapshot.faces) for snapshot in expected.snapshots}
    assert faces[5] == faces[92] == 1 and faces[50] == 0 and faces[124] == 0
    assert kept.snapshots == expected.snapshots
