"""RTTM: one SPEAKER line a segment, whole at any moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.core.identities import Merge
from speakerlight.core.segments import Segment
from speakerlight.core.snapshot import SpeakingState
from speakerlight.outputs.rttm import Rttm, rttm_line
from tests.stream.outputs.made import snapshot


def test_a_line_has_ten_fields_without_white_space() -> None:
    line = rttm_line("my  meeting", Segment(3, 1.2, 2.45), "Ada L")
    assert line == "SPEAKER my_meeting 1 1.200 1.250 <NA> <NA> Ada_L <NA> <NA>\n"
    assert len(line.split()) == 10


def test_segments_are_written_as_they_end(tmp_path: Path) -> None:
    path = tmp_path / "r.rttm"
    rttm = Rttm(path, "news")
    rttm.snapshot(replace(snapshot(0.0, [1]), names={1: "Ada"}))
    assert path.read_text() == ""
    rttm.snapshot(snapshot(0.4, [2]))
    assert path.read_text() == "SPEAKER news 1 0.000 0.400 <NA> <NA> Ada <NA> <NA>\n"
    rttm.close()
    assert path.read_text().splitlines()[1] == "SPEAKER news 1 0.400 0.040 <NA> <NA> person2 <NA> <NA>"


def test_a_silent_run_leaves_an_empty_file(tmp_path: Path) -> None:
    rttm = Rttm(tmp_path / "r.rttm", "news")
    rttm.snapshot(snapshot(0.0))
    rttm.close()
    assert (tmp_path / "r.rttm").read_text() == ""


def test_an_unwritable_place_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--rttm"):
        Rttm(tmp_path / "missing" / "r.rttm", "news")


def test_merged_people_and_later_names_are_written_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "r.rttm"
    rttm = Rttm(path, "news")
    for k, person in enumerate([1, 2, 3]):
        rttm.snapshot(snapshot(k / 2, [person], people=[person]))
    assert [line.split()[7] for line in path.read_text().splitlines()] == ["person1", "person2"]
    rttm.snapshot(replace(snapshot(1.5, [], people=[1]), merges=(Merge(2, 1),), names={1: "Ada  L", 3: "Grace"}))
    rttm.close()
    turns = [tuple(line.split()[k] for k in (7, 3, 4)) for line in path.read_text().splitlines()]
    assert turns == [("Ada_L", "0.000", "1.000"), ("Grace", "1.000", "0.500")]


def test_a_known_person_who_speaks_out_of_view_has_a_segment(tmp_path: Path) -> None:
    path = tmp_path / "r.rttm"
    rttm = Rttm(path, "news")
    for k in range(3):
        rttm.snapshot(replace(snapshot(k / 25), state=SpeakingState.OFFSCREEN, offscreen=7))
    rttm.snapshot(replace(snapshot(3 / 25), state=SpeakingState.UNDECIDED))
    rttm.close()
    assert path.read_text() == "SPEAKER news 1 0.000 0.120 <NA> <NA> person7 <NA> <NA>\n"
