"""The same people at the same times, whatever the video's frame rate: the demo, rendered at each."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import pytest

from speakerlight.core.demo import Demo, DemoSettings
from speakerlight.core.errors import InputError
from speakerlight.core.events import Percentiles
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK
from speakerlight.engine_factory import open_engine
from speakerlight.fast import run_fast
from speakerlight.model_loading import Models, load_models
from speakerlight.outputs.hub import OutputHub
from speakerlight.run_settings import RunSettings
from speakerlight.sources.source import due
from tests.stream.test_fast import Kept

SECONDS, SIZE = 9.4, (640, 360)
"""Two people, a turn of each."""

GATE_SECONDS = 0.04
"""Speech ends with the audio, which is the same: one tick."""

CHANGE_SECONDS = 0.08
"""Who begins is known from the frame, too: it stands for a tick up to half a frame away (33 ms at 15 a second), which
moves the evidence by a tick, and what it adds up to is looked at once a tick: two ticks."""

Moments = tuple[float, tuple[int, ...]]
"""A rate, and which of its frames there are."""

FINE_RATE = 100.0


def steady(rate: float) -> Moments:
    return rate, tuple(range(int(SECONDS * rate)))


def variable() -> Moments:
    """Frames 20 to 80 ms apart."""
    gaps = np.random.default_rng(1).integers(2, 9, round(SECONDS * FINE_RATE))
    numbers = np.concatenate([[0], np.cumsum(gaps)])
    return FINE_RATE, tuple(int(number) for number in numbers if number < SECONDS * FINE_RATE)


class Rendered:
    """The demo at certain moments, as a recording."""

    name, has_video, has_audio, duration_seconds = "demo", True, True, None
    frame_size, frame_rate = SIZE, None

    def __init__(self, moments: Moments) -> None:
        rate, self._numbers = moments
        self._demo = Demo(DemoSettings(people=2, seconds=SECONDS, width=SIZE[0], height=SIZE[1], rate=rate))

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        rate = self._demo.settings.rate
        frames = (Frame(number / rate, self._demo.frame(number)) for number in self._numbers)
        firsts = range(0, int(SECONDS * SAMPLE_RATE), SAMPLES_PER_TICK)
        chunks = (AudioChunk(first / SAMPLE_RATE, self._demo.audio(first, SAMPLES_PER_TICK)) for first in firsts)
        return heapq.merge(frames, chunks, key=due)

    def close(self) -> None:
        """Nothing is held open."""


@lru_cache
def models() -> Models:
    try:
        return load_models(RunSettings(video="demo"))
    except InputError as error:
        pytest.skip(str(error))


@lru_cache
def changes(moments: Moments) -> list[tuple[float, str]]:
    """Each change of the marked person: the time, and their side of the frame, or the state without a mark."""
    kept = Kept()
    with open_engine(RunSettings(video="demo"), models(), has_audio=True) as engine:
        hub = OutputHub([kept], pytest.fail)
        run_fast(Rendered(moments), engine, hub, None, threading.Event())
        hub.close(Percentiles())
    lines: list[tuple[float, str]] = []
    for snapshot in kept.snapshots:
        left = {face.id: face.box.centre[0] < SIZE[0] / 2 for face in snapshot.faces}
        shown = snapshot.state.value if snapshot.primary is None else "left" if left[snapshot.primary] else "right"
        # Before the name, and at the very end: whether they are there is a matter of thousandths.
        if shown in ("undecided", "offscreen") or snapshot.time > SECONDS - GATE_SECONDS - CHANGE_SECONDS:
            continue
        if not lines or lines[-1][1] != shown:
            lines.append((snapshot.time, shown))
    return lines


def between(first: Sequence[tuple[float, str]], second: Sequence[tuple[float, str]]) -> Iterator[tuple[str, float]]:
    """For each change the pair before and after, and by how many seconds it differs."""
    for before, (time, shown), (other, _) in zip(["silence", *(s for _, s in first)], first, second, strict=False):
        yield f"{before}-{shown}", abs(time - other)


@pytest.mark.parametrize(
    "moments",
    [steady(15), steady(24), steady(30000 / 1001), steady(30), steady(50), steady(60), variable()],
    ids=["15", "24", "29.97", "30", "50", "60", "variable"],
)
def test_the_speakers_and_the_times_are_those_of_25_frames_a_second(moments: Moments) -> None:
    expected, lines = changes(steady(25)), changes(moments)
    assert {shown for _, shown in expected} >= {"left", "right", "silence"}
    assert [shown for _, shown in lines] == [shown for _, shown in expected]
    for change, seconds in between(expected, lines):
        assert seconds <= (GATE_SECONDS if change.endswith("silence") else CHANGE_SECONDS) + 1e-6, change
