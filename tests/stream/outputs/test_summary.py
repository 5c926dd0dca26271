"""The summary: what was counted, as an event and as text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from speakerlight.core.events import Percentiles, SummaryEvent
from speakerlight.core.identities import Merge
from speakerlight.outputs.summary import Tally, summary_text
from tests.stream.outputs.made import snapshot


def test_the_tally_counts_frames_ticks_and_seconds_of_speech() -> None:
    tally = Tally()
    for k in range(60):
        tally.frame(k / 30)
    for k in range(50):
        tally.snapshot(snapshot(k / 25, [2] if k < 25 else [1, 2] if k < 30 else []))
    summary = tally.finish(Percentiles(1.0, 2.0, 3.0))
    assert (summary.frames, summary.ticks, summary.duration) == pytest.approx((60, 50, 2.0))
    assert [person for person, _ in summary.speakers] == [2, 1]
    assert [seconds for _, seconds in summary.speakers] == pytest.approx([1.2, 0.2])
    assert summary.latency_ms == Percentiles(1.0, 2.0, 3.0)


def test_a_run_of_nothing() -> None:
    assert Tally().finish(Percentiles()) == SummaryEvent(0.0, 0, 0, (), Percentiles())


def test_the_duration_counts_frames_that_were_captured_only() -> None:
    tally = Tally()
    tally.frame(0.4)
    assert tally.finish(Percentiles(), captured_seconds=3.0).duration == 3.0


def test_the_text_reports_speakers_latency_and_dropped_frames() -> None:
    summary = SummaryEvent(12.5, 300, 250, ((2, 4.56), (1, 1.0)), Percentiles(81.0, 120.4, 130.0), {2: "Ada"})
    assert summary_text(summary, dropped_frames=3).splitlines() == [
        "12.5 s, 300 frames, 250 ticks scored",
        "  Ada spoke 4.6 s",
        "  person 1 spoke 1.0 s",
        "capture to overlay: 81 ms (p95 120, p99 130)",
        "3 frames dropped",
    ]


def test_turns_the_longest_and_interruptions_are_in_event_and_text() -> None:
    tally = Tally()
    speaking: list[tuple[int, list[int]]] = [(25, [1]), (10, [1, 2]), (40, [2]), (5, []), (25, [1])]
    everybody = [people for count, people in speaking for _ in range(count)]
    for k, people in enumerate(everybody):
        tally.snapshot(snapshot(k / 25, people))
    summary = tally.finish(Percentiles())
    assert summary_text(summary).splitlines()[1:] == [
        "  person 1 spoke 2.4 s in 2 turns, the longest 1.4 s",
        "  person 2 spoke 2.0 s in 1 turn, interrupted once",
    ]
    assert json.loads(summary.to_json())["speakers"] == [
        {"id": 1, "seconds": 2.4, "turns": 2, "longest": 1.4, "interruptions": 0},
        {"id": 2, "seconds": 2.0, "turns": 1, "longest": 2.0, "interruptions": 1},
    ]


def test_the_text_of_a_silent_run() -> None:
    assert summary_text(SummaryEvent(1.0, 25, 25, ())).splitlines()[1:] == ["  no person in view spoke"]


def test_a_name_and_seconds_go_over_to_the_person_whom_an_id_turned_out_to_be() -> None:
    tally = Tally()
    for k in range(50):
        each = snapshot(k / 25, [2] if k < 25 else [1])
        tally.snapshot(replace(each, names={2: "Ada"} if k < 25 else {}, merges=(Merge(2, 1),) if k == 25 else ()))
    summary = tally.finish(Percentiles())
    assert summary.names == {1: "Ada"}
    assert dict(summary.speakers) == {1: pytest.approx(2.0)}
