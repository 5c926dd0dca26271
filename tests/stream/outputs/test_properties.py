"""Any sequence of snapshots and frames gives outputs that their readers can parse."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakerlight.core.events import Percentiles, SessionEvent
from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from speakerlight.core.transcript import FORMATS
from speakerlight.core.word_join import read_session
from speakerlight.outputs.eventlog import EventLog
from speakerlight.outputs.export import Export
from speakerlight.outputs.face_videos import FaceVideos
from speakerlight.outputs.hub import OutputHub
from speakerlight.outputs.plot import Plot
from speakerlight.outputs.recorder import Recorder
from speakerlight.outputs.rttm import Rttm

anything = st.floats()  # with NaN and infinities
people = st.integers(1, 5) | st.integers(1, 2**40)
boxes = st.builds(Box, *[st.floats(-1e4, 1e4)] * 2, *[st.floats(0, 1e4)] * 2)
faces = st.builds(FaceScore, people, boxes, st.floats(0, 1) | anything, st.booleans())
steps = st.floats(0, 0.2) | st.floats(0, 1e5)
names = st.dictionaries(st.integers(1, 5), st.text(st.characters(), min_size=1))


@st.composite
def snapshots(draw: st.DrawFn) -> list[Snapshot]:
    """Times rise, as everywhere; all else may be anything."""
    time = 0.0
    found: list[Snapshot] = []
    for step in draw(st.lists(steps, max_size=30)):
        time += step
        seen = {face.id: face for face in draw(st.lists(faces, max_size=4))}
        state = draw(st.sampled_from(SpeakingState))
        primary = draw(st.sampled_from([None, *seen])) if state is SpeakingState.SPEAKING else None
        speech, lag = draw(st.floats(0, 1) | anything), Lag(draw(anything), draw(anything))
        offscreen = draw(st.none() | people) if state is SpeakingState.OFFSCREEN else None
        merges = tuple(draw(st.lists(st.builds(Merge, people, people), max_size=1)))
        tick = len(found)
        found.append(
            Snapshot(tick, time, speech, tuple(seen.values()), state, primary, lag, offscreen, merges, draw(names))
        )
    return found


@contextmanager
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@settings(max_examples=100, deadline=None)
@given(snapshots(), st.text(st.characters()))
def test_logs_rttm_and_exports_can_be_parsed(ticks: list[Snapshot], recording: str) -> None:
    with folder() as place:
        log, rttm = EventLog(str(place / "e.jsonl")), Rttm(place / "r.rttm", recording)
        exports = [Export(place / f"x{suffix}") for suffix in FORMATS]
        hub = OutputHub([log, rttm, *exports], pytest.fail)
        hub.event(SessionEvent(recording, None, "compact", "cpu"))
        for tick in ticks:
            hub.snapshot(tick)
        hub.close(Percentiles())
        lines = (place / "e.jsonl").read_bytes().decode("utf-8").split("\n")
        events = [json.loads(line, parse_constant=refuse) for line in lines[:-1]]
        assert lines[-1] == "" and events[0]["type"] == "session" and events[-1]["type"] == "summary"
        assert sum(event["type"] == "scores" for event in events) == len(ticks)
        text = (place / "r.rttm").read_bytes().decode("utf-8") if ticks else ""
        for line in text.split("\n")[:-1]:
            fields = line.split()
            assert len(fields) == 10 and fields[0] == "SPEAKER"
            assert math.isfinite(float(fields[3])) and float(fields[4]) >= 0
        if ticks:
            session = read_session((place / "x.json").read_bytes().decode("utf-8"))
            with (place / "x.csv").open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))
            assert len(rows) == 1 + len(session.lines) and all(len(row) == len(rows[0]) for row in rows)
            assert is_vtt((place / "x.vtt").read_bytes().decode("utf-8"))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["silence", "undecided", "1", "2", "12", "1=2"]), st.integers(1, 30))))
def test_summary_export_and_rttm_agree_on_the_turns(course: list[tuple[str, int]]) -> None:
    """The course of a talk: who speaks, for how many ticks. "1=2": both turn out to be one person."""
    with folder() as place:
        log, rttm = EventLog(str(place / "e.jsonl")), Rttm(place / "r.rttm", "talk")
        hub = OutputHub([log, rttm, Export(place / "x.json"), Export(place / "x.csv")], pytest.fail)
        for tick, snapshot in enumerate(talk_over(course)):
            hub.snapshot(replace(snapshot, tick=tick, time=tick / 25))
        hub.close(Percentiles())
        if not course:
            return
        summary = json.loads((place / "e.jsonl").read_text().splitlines()[-1])["speakers"]
        session = json.loads((place / "x.json").read_text())
        lines = [line.split() for line in (place / "r.rttm").read_text().splitlines()]
        with (place / "x.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    counted = {each["id"]: (each["turns"], each["longest"], each["seconds"]) for each in summary}
    assert counted == {each["id"]: (each["turns"], each["longest"], each["seconds"]) for each in session["people"]}
    turns = sorted((f"person{turn['id']}", turn["start"]) for turn in session["turns"])
    assert turns == sorted((fields[7], float(fields[3])) for fields in lines)
    assert turns == sorted((f"person{row['id']}", float(row["start"])) for row in rows)


def talk_over(course: list[tuple[str, int]]) -> Iterator[Snapshot]:
    merged = False
    for who, ticks in course:
        for k in range(ticks):
            merges = (Merge(2, 1),) if who == "1=2" and not merged else ()
            merged = merged or who == "1=2"
            speaking = {1 if merged else int(digit) for digit in who if digit.isdigit()}
            faces = tuple(FaceScore(person, Box(0, 0, 9, 9), 0.5, True) for person in sorted(speaking))
            state = SpeakingState.SPEAKING if faces else SpeakingState(who)
            primary = faces[0].id if faces else None
            yield Snapshot(k, 0.0, 0.5, faces, state, primary, Lag(0.0, 0.0), merges=merges)


def is_vtt(text: str) -> bool:
    """Whether every block is a cue with a number, times in order and one line of text."""
    head, *cues = text.rstrip("\n").split("\n\n")
    pattern = r"\d+\n(\d\d+:\d\d:\d\d\.\d{3}) --> (\d\d+:\d\d:\d\d\.\d{3})\n<v [^<>\n]+>[^<>\n]+"
    found = [re.fullmatch(pattern, cue) for cue in cues]
    return head == "WEBVTT" and all(match and (len(match[1]), match[1]) < (len(match[2]), match[2]) for match in found)


@settings(max_examples=15, deadline=None)
@given(snapshots())
def test_plots_can_be_decoded(ticks: list[Snapshot]) -> None:
    with folder() as place:
        plot = Plot(place / "p.png")
        for tick in ticks:
            plot.snapshot(tick)
        plot.close()
        assert (place / "p.png").exists() == bool(ticks)
        assert not ticks or cv2.imread(str(place / "p.png")) is not None


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1.0), st.integers(1, 80), st.integers(1, 80)), min_size=1, max_size=12),
    st.lists(st.tuples(st.floats(0, 4.0), st.lists(st.floats(width=32), max_size=400)), max_size=8),
    snapshots(),
)
def test_videos_can_be_decoded(
    sizes: list[tuple[float, int, int]], chunks: list[tuple[float, list[float]]], ticks: list[Snapshot]
) -> None:
    with folder() as place:
        recorder = Recorder(place / "o.mp4", lambda frame, snapshot: frame.image)
        videos = FaceVideos(place / "faces")
        for time, samples in sorted(chunks, key=lambda chunk: chunk[0]):
            for output in (recorder, videos):
                output.audio(AudioChunk(time, np.array(samples, np.float32)))
        time = 0.0
        for k, (step, width, height) in enumerate(sizes):
            time += step
            frame = Frame(time, np.full((height, width, 3), k, np.uint8))
            for output in (recorder, videos):
                output.frame(frame, ticks[k % len(ticks)] if ticks else None)
        recorder.close()
        videos.close()
        for path in place.rglob("*.mp4"):
            with av.open(str(path)) as container:
                assert sum(1 for _ in container.decode(video=0)) >= 1
