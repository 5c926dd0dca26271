"""Events: the schema that other programs read, to the letter, and when each event is sent."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from speakerlight.core.events import (
    Event,
    EventStream,
    LagEvent,
    LoadEvent,
    MergeEvent,
    Percentiles,
    PersonEvent,
    ScoresEvent,
    SessionEvent,
    SpeakerEvent,
    SummaryEvent,
)
from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState


def snapshot(
    time: float, state: SpeakingState = SpeakingState.SILENCE, primary: int | None = None, lag: Lag | None = None
) -> Snapshot:
    return Snapshot(round(time * 25), time, 0.5, (), state, primary, lag or Lag(0.0, 0.0))


def types(stream: EventStream, *snapshots: Snapshot) -> list[list[str]]:
    return [[event.type for event in stream.events(each)] for each in snapshots]


def test_every_event_is_the_line_of_the_schema() -> None:
    face = FaceScore(3, Box(1.04, 2.25, 100, 120.06), 0.41049, True)
    lines: dict[Event, str] = {
        SessionEvent("demo", None, "compact", "cpu"): '{"type":"session","version":2,"video":"demo","audio":null,'
        '"model":"compact","device":"cpu","rate":25}',
        ScoresEvent(1.2400001, 0.93, (face,)): '{"type":"scores","time":1.24,"speech":0.93,"faces":'
        '[{"id":3,"box":[1.0,2.2,100.0,120.1],"score":0.41,"speaking":true}]}',
        SpeakerEvent(1.32, SpeakingState.SPEAKING, 3, None): '{"type":"speaker","time":1.32,"state":"speaking","id":3,'
        '"previous":null}',
        LagEvent(2.0, -40.04, 0.5): '{"type":"lag","time":2.0,"milliseconds":-40.0,"confidence":0.5}',
        LoadEvent(2.0, 1, 7, 2): '{"type":"load","time":2.0,"level":1,"dropped_frames":7,"audio_overflows":2}',
        SummaryEvent(10.0, 300, 250, ((3, 4.56),), Percentiles(80.04, 120, 130)): '{"type":"summary","duration":10.0,'
        '"frames":300,"ticks":250,"speakers":[{"id":3,"seconds":4.56}],"latency_ms":{"p50":80.0,"p95":120,"p99":130}}',
    }
    for event, line in lines.items():
        assert json.loads(event.to_json()) == json.loads(line)
        assert list(json.loads(event.to_json())) == list(json.loads(line)), "the order of the keys"
        assert "\n" not in event.to_json()


def test_what_is_not_a_number_never_goes_out() -> None:
    faces = (FaceScore(1, Box(math.nan, 0, 1, 1), 0.5, False), FaceScore(2, Box(0, 0, 1, 1), math.inf, False))
    event = json.loads(ScoresEvent(1.0, math.nan, faces).to_json())
    assert event["speech"] is None
    assert [(face["id"], face["score"]) for face in event["faces"]] == [(2, None)]
    assert "-0.0" not in LagEvent(0.0, -0.01, 0.0).to_json()


def test_a_name_stays_as_it_was_typed() -> None:
    assert json.loads(SessionEvent('a "b"\n/ü', None, "m", "cpu").to_json())["video"] == 'a "b"\n/ü'


def test_the_speaker_is_reported_on_a_change_only() -> None:
    stream = EventStream()
    snapshots = [
        snapshot(0.00),
        snapshot(0.04, SpeakingState.SPEAKING, 1),
        snapshot(0.08, SpeakingState.SPEAKING, 1),
        snapshot(0.12, SpeakingState.SPEAKING, 2),
        snapshot(0.16, SpeakingState.OFFSCREEN),
        snapshot(0.20),
    ]
    events = [event for each in snapshots for event in stream.events(each) if isinstance(event, SpeakerEvent)]
    assert events == [
        SpeakerEvent(0.04, SpeakingState.SPEAKING, 1, None),
        SpeakerEvent(0.12, SpeakingState.SPEAKING, 2, 1),
        SpeakerEvent(0.16, SpeakingState.OFFSCREEN, None, 2),
        SpeakerEvent(0.20, SpeakingState.SILENCE, None, None),
    ]


def test_scores_are_reported_every_tick_and_come_first() -> None:
    assert types(EventStream(), snapshot(0.0), snapshot(0.04), snapshot(0.08, SpeakingState.SPEAKING, 1)) == [
        ["scores", "lag"],
        ["scores"],
        ["scores", "speaker"],
    ]


def test_the_lag_is_reported_when_it_moved_but_not_all_the_time() -> None:
    stream = EventStream()
    creeping = [snapshot(k / 25, lag=Lag(k * 1.0, 0.9)) for k in range(25 * 4)]
    lines = [event for each in creeping for event in stream.events(each) if isinstance(event, LagEvent)]
    assert [event.time for event in lines] == [0.0, 1.0, 2.0, 3.0]

    steady = [snapshot(4 + k / 25, lag=Lag(99.0, 0.9)) for k in range(25 * 20)]
    lines = [event for each in steady for event in stream.events(each) if isinstance(event, LagEvent)]
    assert len(lines) == 1, "a steady lag is not repeated"


def test_a_lag_that_is_not_a_number_is_not_reported() -> None:
    assert types(EventStream(), snapshot(0.0, lag=Lag(math.nan, 0.0))) == [["scores"]]


def test_a_name_that_is_no_utf8_can_be_encoded_and_comes_back() -> None:
    name = b"Bj\xf6rk.mp4".decode(errors="surrogateescape")
    line = SessionEvent(name, None, "compact", "cpu").to_json()
    assert json.loads(line.encode("utf-8"))["video"] == name


def test_people_are_reported_when_they_come_into_view_and_when_they_are_named() -> None:
    stream = EventStream()

    def people(snapshot: Snapshot) -> list[str]:
        return [e.to_json() for e in stream.events(snapshot) if isinstance(e, PersonEvent | MergeEvent)]

    faces = tuple(FaceScore(i, Box(0, 0, 1, 1), 0.1, False) for i in (1, 2))
    first = Snapshot(0, 0.0, 0.0, faces, SpeakingState.SILENCE, None, Lag(0, 0))
    assert people(first) == [
        '{"type":"person","time":0.0,"id":1,"name":null}',
        '{"type":"person","time":0.0,"id":2,"name":null}',
    ]
    assert people(first) == []
    assert people(replace(first, names={2: "Ada"})) == ['{"type":"person","time":0.0,"id":2,"name":"Ada"}']
    merged = replace(first, faces=faces[:1], merges=(Merge(2, 1), Merge(9, 1)))
    assert people(merged) == ['{"type":"merge","time":0.0,"id":2,"into":1}'], "9 was never reported"


def test_a_merge_of_the_speaker_is_no_change_of_speaker() -> None:
    stream = EventStream()
    first = Snapshot(0, 0.0, 0.9, (), SpeakingState.SPEAKING, 3, Lag(0, 0))
    stream.events(first)
    events = stream.events(replace(first, primary=1, merges=(Merge(3, 1),)))
    assert not [e for e in events if isinstance(e, SpeakerEvent)]


def test_speech_of_a_known_person_out_of_view_carries_their_id() -> None:
    stream = EventStream()
    first = Snapshot(0, 0.0, 0.9, (), SpeakingState.OFFSCREEN, None, Lag(0, 0), offscreen=4)
    (event,) = [e for e in stream.events(first) if isinstance(e, SpeakerEvent)]
    assert (event.state, event.id, event.previous) == (SpeakingState.OFFSCREEN, 4, None)
    later = replace(first, state=SpeakingState.SPEAKING, primary=4, offscreen=None)
    (back,) = [e for e in stream.events(later) if isinstance(e, SpeakerEvent)]
    assert (back.id, back.previous) == (4, 4)
