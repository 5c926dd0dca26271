"""Speaking segments: from the first speaking tick to the first that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from speakerlight.core.geometry import Box
from speakerlight.core.identities import Merge
from speakerlight.core.segments import (
    LONGEST_HOLD_SECONDS,
    LONGEST_UNDECIDED_SECONDS,
    FinalIdentities,
    Segment,
    SessionRecord,
    SpeakingSegments,
)
from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
from tests.stream.outputs.made import snapshot as made


def snapshot(time: float, *speaking: int) -> Snapshot:
    faces = tuple(FaceScore(person, Box(0, 0, 10, 10), 0.5, person in speaking) for person in (1, 2))
    return Snapshot(round(time * 25), time, 0.5, faces, SpeakingState.SILENCE, None, Lag(0, 0))


def run(*snapshots: Snapshot) -> list[Segment]:
    segments = SpeakingSegments()
    return [segment for each in snapshots for segment in segments.push(each)] + segments.finish()


def test_a_segment_lasts_until_the_tick_that_ends_it() -> None:
    assert run(snapshot(0.0), snapshot(0.04, 1), snapshot(0.08, 1), snapshot(0.12)) == [Segment(1, 0.04, 0.12)]


def test_two_may_speak_at_once() -> None:
    segments = run(snapshot(0.0, 1), snapshot(0.2, 1, 2), snapshot(0.4, 2), snapshot(0.6))
    assert segments == [Segment(1, 0.0, 0.4), Segment(2, 0.2, 0.6)]


def test_the_end_of_the_run_ends_what_is_open_one_tick_after_the_last() -> None:
    (segment,) = run(snapshot(1.0, 2))
    assert (segment.id, segment.start, segment.end) == pytest.approx((2, 1.0, 1.04))


def test_a_stall_is_not_counted_as_speech() -> None:
    segments = run(snapshot(0.0, 1), snapshot(9.0, 1))
    assert [(s.id, s.start) for s in segments] == [(1, 0.0), (1, 9.0)]
    assert [s.end for s in segments] == pytest.approx([LONGEST_HOLD_SECONDS, 9.04])


def test_a_person_who_left_the_frame_no_longer_speaks() -> None:
    gone = Snapshot(2, 0.08, 0.5, (), SpeakingState.OFFSCREEN, None, Lag(0, 0))
    assert run(snapshot(0.0, 1), gone) == [Segment(1, 0.0, 0.08)]


def test_without_faces_there_is_no_active_speaker() -> None:
    assert run() == []


def test_a_merge_in_the_middle_of_a_segment_keeps_its_start() -> None:
    merged = replace(snapshot(0.04, 1), merges=(Merge(2, 1),))
    assert run(snapshot(0.0, 2), merged, snapshot(0.08)) == [Segment(1, 0.0, 0.08)]


def test_a_record_has_final_ids_and_joins_what_touches() -> None:
    record = SessionRecord()
    for k, person in enumerate([1, 1, 2, 2, 3]):
        record.push(made(k / 4, [person], people=[person]))
    record.push(replace(made(1.25, [], people=[4]), merges=(Merge(2, 1),), names={1: "Ada"}))
    record.finish()
    assert record.segments() == [Segment(1, 0.0, 1.0), Segment(3, 1.0, 1.25)]
    assert record.names == {1: "Ada"}


def test_merges_that_go_round_end_somewhere() -> None:
    identities = FinalIdentities()
    for merge in (Merge(1, 2), Merge(2, 1)):
        identities.update(replace(made(0.0), merges=(merge,)))
    assert identities.final(1) in (1, 2)


def undecided(time: float) -> Snapshot:
    return replace(snapshot(time), state=SpeakingState.UNDECIDED)


def test_speech_that_is_not_decided_yet_belongs_to_the_segment_after_it() -> None:
    turn = [snapshot(0.0), undecided(0.04), undecided(0.08), snapshot(0.12, 1), snapshot(0.16)]
    assert run(*turn) == [Segment(1, 0.04, 0.16)]
    change = [snapshot(0.0, 2), undecided(0.04), snapshot(0.08, 1), snapshot(0.12)]
    assert run(*change) == [Segment(2, 0.0, 0.04), Segment(1, 0.04, 0.12)]


def test_undecided_speech_between_two_segments_of_one_person_makes_them_one() -> None:
    turn = [snapshot(0.0, 1), undecided(0.04), undecided(0.08), snapshot(0.12, 1), snapshot(0.16)]
    assert run(*turn) == [Segment(1, 0.0, 0.16)]
    long = [snapshot(0.0, 1), *(undecided(k / 25) for k in range(1, 100)), snapshot(4.0, 1), snapshot(4.04)]
    assert run(*long) == [Segment(1, 0.0, 0.04), Segment(1, 4.0 - LONGEST_UNDECIDED_SECONDS, 4.04)]


def test_a_segment_is_returned_once_nothing_can_continue_it() -> None:
    segments = SpeakingSegments()
    assert segments.push(snapshot(0.0, 1)) == segments.push(undecided(0.04)) == []
    assert segments.push(snapshot(0.08, 2)) == [Segment(1, 0.0, 0.04)], "the speech between is the second person's"
    assert segments.push(undecided(0.12)) == []
    assert segments.push(snapshot(0.16)) == [Segment(2, 0.04, 0.12)], "a silence ends the speech"
    segments.push(snapshot(0.2, 1))
    after = [segments.push(undecided(0.24 + k / 25)) for k in range(60)]
    (found,) = [k for k, each in enumerate(after) if each]
    assert after[found] == [Segment(1, 0.2, 0.24)]
    assert found / 25 == pytest.approx(LONGEST_UNDECIDED_SECONDS, abs=0.05)


def test_a_merge_while_speech_is_undecided_continues_the_segment() -> None:
    turn = [snapshot(0.0, 2), undecided(0.04), replace(snapshot(0.08, 1), merges=(Merge(2, 1),)), snapshot(0.12)]
    assert run(*turn) == [Segment(1, 0.0, 0.12)]


def test_undecided_speech_before_a_silence_or_long_ago_has_no_speaker() -> None:
    assert run(undecided(0.0), snapshot(0.04), snapshot(0.08, 1), snapshot(0.12)) == [Segment(1, 0.08, 0.12)]
    long = [*(undecided(k / 25) for k in range(100)), snapshot(4.0, 1), snapshot(4.04)]
    assert run(*long) == [Segment(1, 4.0 - LONGEST_UNDECIDED_SECONDS, 4.04)]


def test_undecided_speech_before_a_stall_has_no_speaker() -> None:
    assert run(undecided(0.0), snapshot(5.0, 1), snapshot(5.04)) == [Segment(1, 5.0, 5.04)]


def test_a_voice_that_turns_out_to_be_a_persons_leaves_them_without_its_label() -> None:
    identities = FinalIdentities()
    identities.update(replace(snapshot(0.0), names={-3: "voice 3", -4: "Ada"}))
    identities.update(replace(snapshot(0.04), merges=(Merge(-3, 1), Merge(-4, 2))))
    assert identities.names == {2: "Ada"}, "an enrolled voice has a name"
