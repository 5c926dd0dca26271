"""One timeline: arrival until both streams were reported, the sender's clock from then on, nonsense left out."""

from __future__ import annotations

import pytest

from speakerlight.server.timeline import Kind, Timeline

NTP = 3.9e9
"""Some moment of the sender's wall clock."""

TRANSIT = {Kind.VIDEO: 0.06, Kind.AUDIO: 0.02}
"""Encoding takes its time: the frame arrives 40 ms later than the audio of the same moment."""

ORIGIN = {Kind.VIDEO: 100.0, Kind.AUDIO: 7.0}
"""Each stream counts from a moment of its own."""


def play(timeline: Timeline, begin: float, end: float) -> None:
    for number in range(round(begin * 50), round(end * 50)):
        captured = number / 50
        for kind in Kind:
            timeline.packet_arrived(kind, ORIGIN[kind] + captured, captured + TRANSIT[kind])


def report(timeline: Timeline, kind: Kind, captured: float, wrong_by: float = 0.0) -> None:
    timeline.sender_report(kind, ORIGIN[kind] + captured, NTP + captured + wrong_by)


def apart(timeline: Timeline, captured: float) -> float:
    """How far frame and audio of one moment lie from each other, in seconds."""
    video, audio = (timeline.session_time(kind, ORIGIN[kind] + captured) for kind in (Kind.VIDEO, Kind.AUDIO))
    assert video is not None and audio is not None
    return video - audio


def test_nothing_is_known_before_something_arrived() -> None:
    assert Timeline().session_time(Kind.VIDEO, 0.0) is None


def test_until_reports_come_each_lies_where_it_arrives() -> None:
    timeline = Timeline()
    play(timeline, 0.0, 1.0)
    assert timeline.session_time(Kind.VIDEO, ORIGIN[Kind.VIDEO] + 0.5) == pytest.approx(0.56)
    report(timeline, Kind.VIDEO, 0.9)
    play(timeline, 1.0, 1.2)
    assert apart(timeline, 1.0) == pytest.approx(0.04, abs=1e-6), "one report alone tells nothing"


def test_reports_bring_video_and_audio_together() -> None:
    timeline = Timeline()
    play(timeline, 0.0, 1.0)
    for kind in Kind:
        report(timeline, kind, 0.9)
    play(timeline, 1.0, 2.0)
    assert apart(timeline, 1.5) == pytest.approx(0.0, abs=1e-6)
    assert timeline.session_time(Kind.AUDIO, ORIGIN[Kind.AUDIO] + 1.5) == pytest.approx(1.52, abs=0.002)


def test_a_report_that_is_sent_late_moves_nothing() -> None:
    timeline = Timeline()
    play(timeline, 0.0, 1.0)
    for kind in Kind:
        report(timeline, kind, 0.9)
    for second in range(1, 6):
        play(timeline, second, second + 1)
        report(timeline, Kind.VIDEO, second + 0.9, wrong_by=0.08)
    assert apart(timeline, 5.9) == pytest.approx(0.0, abs=0.005)


def test_implausible_reports_are_ignored() -> None:
    timeline = Timeline()
    play(timeline, 0.0, 1.0)
    report(timeline, Kind.VIDEO, 0.9, wrong_by=-500.0)
    report(timeline, Kind.AUDIO, 0.9)
    play(timeline, 1.0, 2.0)
    for kind in Kind:
        moment = timeline.session_time(kind, ORIGIN[kind] + 1.5)
        assert moment == pytest.approx(1.5 + TRANSIT[kind], abs=0.05)


def test_a_sender_whose_clock_is_set_anew_stays_together() -> None:
    timeline = Timeline()
    play(timeline, 0.0, 1.0)
    for wrong_by in (0.0, 3600.0):
        for kind in Kind:
            report(timeline, kind, 0.9, wrong_by)
        play(timeline, 1.0, 2.0)
    assert apart(timeline, 1.9) == pytest.approx(0.0, abs=1e-6)


def test_video_without_audio_needs_no_other_report() -> None:
    timeline = Timeline()
    for number in range(50):
        timeline.packet_arrived(Kind.VIDEO, number / 25, number / 25 + 0.03)
    timeline.sender_report(Kind.VIDEO, 1.0, NTP)
    timeline.packet_arrived(Kind.VIDEO, 2.0, 2.03)
    assert timeline.session_time(Kind.VIDEO, 2.0) == pytest.approx(2.03, abs=1e-6)
