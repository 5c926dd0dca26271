"""Recognition of people who come back: ``python -m tests.benchmarks recognition CLIPS GROUPS``.

Two people of single-speaker clips talk; one leaves for ten seconds. Then either comes back in another seat, in other
light and from another part of their clips, or a stranger sits down there. ``GROUPS`` names the person of each clip, as
``tests/data/dev_people_groups.csv`` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from speakerlight import MergeEvent, ScoresEvent, SpeakerDetector
from speakerlight.core.errors import InputError
from speakerlight.core.media import Image, Samples
from speakerlight.core.timebase import SAMPLE_RATE, SAMPLES_PER_TICK, TICK_RATE
from speakerlight.core.training.clips import read_frames, read_samples
from speakerlight.core.training.evaluation import read_labels

SEAT, SEATS = 360, 3
"""Pixels of a seat's side; a frame has the seats side by side."""

LEAVES, RETURNS, ENDS = 10.0, 20.0, 28.0
"""Seconds at which one person leaves, comes back, and the session ends."""

COUNTED_FROM = RETURNS + 1.0

GAMMA = (0.6, 1.6)
"""Other light: the limits of the exponent of the brightness after the return."""

LEAST_SECONDS = 2.0
"""Minimum length of half a clip."""


@dataclass(frozen=True, eq=False)
class Visit:
    """A person's frames and samples, repeated where they are too short; the frames run forth and back."""

    images: Sequence[Image]
    samples: Samples

    def image(self, tick: int) -> Image:
        place = tick % (2 * len(self.images) - 2)
        return self.images[min(place, 2 * len(self.images) - 2 - place)]

    def chunk(self, tick: int) -> Samples:
        start = tick * SAMPLES_PER_TICK % max(1, len(self.samples) - SAMPLES_PER_TICK)
        return self.samples[start : start + SAMPLES_PER_TICK]


@dataclass(frozen=True)
class Returned:
    """Shares of the ticks after somebody sat down, at once and after all merges, under an id that was there before."""

    at_once: float
    after_merges: float


def visits(path: Path) -> tuple[Visit, Visit] | None:
    """The two halves of a clip; None for a clip that is too short."""
    frames, samples = list(read_frames(path)), read_samples(path)
    if len(frames) < 2 or frames[-1].time < 2 * LEAST_SECONDS:
        return None
    times = np.array([frame.time for frame in frames])
    images = []
    for tick in range(int(frames[-1].time * TICK_RATE)):
        image = frames[min(int(np.searchsorted(times, tick / TICK_RATE)), len(frames) - 1)].image
        scale = SEAT / max(image.shape[:2])
        resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        images.append(np.asarray(resized, np.uint8))
    half, middle = len(images) // 2, len(samples) // 2
    return Visit(images[:half], samples[:middle]), Visit(images[half:], samples[middle:])


def in_other_light(image: Image, gamma: float) -> Image:
    table = (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def session(first: Visit, other: Visit, newcomer: Visit, gamma: float) -> Iterator[tuple[float, Image, Samples]]:
    """Times, frames and audio: ``first`` and ``other`` take turns, then ``newcomer`` sits down in the third seat."""
    for tick in range(int(ENDS * TICK_RATE)):
        time = tick / TICK_RATE
        frame: Image = np.full((SEAT, SEAT * SEATS, 3), 90, np.uint8)
        seated = {1: other.image(tick)}
        speaker = other
        if time < LEAVES:
            seated[0] = first.image(tick)
            speaker = first if time < LEAVES / 2 else other
        elif time >= RETURNS:
            seated[2] = in_other_light(newcomer.image(tick), gamma)
            speaker = newcomer
        for seat, image in seated.items():
            height, width = image.shape[:2]
            left, top = seat * SEAT + (SEAT - width) // 2, (SEAT - height) // 2
            frame[top : top + height, left : left + width] = image
        yield time, frame, speaker.chunk(tick)


def trial(first: Visit, other: Visit, newcomer: Visit, gamma: float) -> Returned:
    """One session. Raises InputError when a person is not found at all."""
    before: set[int] = set()
    after: list[int] = []
    into: dict[int, int] = {}
    with SpeakerDetector() as detector:
        events = []
        for time, frame, samples in session(first, other, newcomer, gamma):
            events += detector.push_audio(time, samples, SAMPLE_RATE) + detector.push_frame(time, frame)
        events += detector.finish()
    for event in events:
        if isinstance(event, MergeEvent):
            into[event.id] = event.into
        elif isinstance(event, ScoresEvent):
            before |= {face.id for face in event.faces if event.time < RETURNS}
            new = [face.id for face in event.faces if face.box.centre[0] > SEAT * 2]
            after += new if event.time >= COUNTED_FROM else []
    if not before or not after:
        raise InputError("recognition: a person of the session was never found")

    def merged(id_: int) -> int:
        while id_ in into:
            id_ = into[id_]
        return id_

    known = {merged(id_) for id_ in before}
    return Returned(
        float(np.mean([id_ in before for id_ in after])), float(np.mean([merged(id_) in known for id_ in after]))
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks recognition", description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("groups", type=Path)
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args(arguments)
    labels = read_labels(options.groups)
    halves = {path: both for path in sorted(options.clips.glob("*.mp4")) if (both := visits(path)) is not None}
    people = {labels[path.stem].person: path for path in halves}
    if len(people) < 3:
        raise InputError(f"recognition: {options.clips} has clips of {len(people)} people: give three or more")
    rng = np.random.default_rng(0)
    back, strangers = [], []
    for number in range(options.trials):
        names = rng.choice(sorted(people), 3, replace=False)
        first, other, stranger = (halves[people[name]] for name in names)
        gamma = float(rng.uniform(*GAMMA))
        back.append(trial(first[0], other[0], first[1], gamma))
        strangers.append(trial(first[0], other[0], stranger[1], gamma))
        print(f"{number + 1}: back {back[-1]}, stranger {strangers[-1]}", flush=True)
    for name, results in (("comes back", back), ("a stranger", strangers)):
        at_once = float(np.mean([result.at_once for result in results]))
        merged = float(np.mean([result.after_merges for result in results]))
        print(f"{name}: under an id that was there before in {at_once:.3f} of the ticks, {merged:.3f} after merges")
    return 0
