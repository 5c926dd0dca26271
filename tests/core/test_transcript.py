"""Transcripts: every format from the same lines."""

from __future__ import annotations

import csv
import io
import json

from speakerlight.core.transcript import Line, Transcript, to_csv, to_json, to_srt, to_text, to_vtt
from speakerlight.core.word_join import read_session

LINES = [Line(1, 0.5, 2.25), Line(2, 2.0, 3.0), Line(1, 3700.1, 3701.1), Line(2, 9.0, 9.0)]
MUTE = Transcript(LINES, {1: "Ada\n<L> & Co"}, 4000.0, {"video": "talk.mp4"})
SPOKEN = Transcript([Line(1, 0.0, 1.0, "Good --> day"), Line(None, 1.0, 2.0, "what?")], {1: "Ada"}, 2.0)


def test_json_has_people_by_talk_time_and_turns_in_order() -> None:
    session = json.loads(to_json(MUTE))
    assert (session["type"], session["version"], session["video"]) == ("transcript", 1, "talk.mp4")
    assert session["duration"] == 4000.0
    ada, other = session["people"]
    assert ada == {"id": 1, "name": "Ada\n<L> & Co", "seconds": 2.75, "share": 0.7333, "turns": 2} | {
        "longest": 1.75,
        "interruptions": 0,
    }
    assert other == {"id": 2, "name": None, "seconds": 1.0, "share": 0.2667, "turns": 2} | {
        "longest": 1.0,
        "interruptions": 0,
    }
    assert session["turns"][0] == {"id": 1, "name": "Ada\n<L> & Co", "start": 0.5, "end": 2.25}
    assert "text" in json.loads(to_json(SPOKEN))["turns"][0]


def test_json_can_be_read_again() -> None:
    again = read_session(to_json(MUTE))
    assert again.lines == [Line(line.id, line.start, round(line.end, 3)) for line in LINES]
    assert (again.names, again.duration, again.about) == (MUTE.names, MUTE.duration, {"video": "talk.mp4"})


def test_csv_has_a_row_a_turn() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(MUTE))))
    assert rows[0] == ["start", "end", "duration", "id", "name", "text"]
    assert rows[1] == ["0.500", "2.250", "1.750", "1", "Ada <L> & Co", ""]
    assert rows[2] == ["2.000", "3.000", "1.000", "2", "Person 2", ""]
    assert list(csv.reader(io.StringIO(to_csv(SPOKEN))))[2] == ["1.000", "2.000", "1.000", "", "Unknown", "what?"]


def test_vtt_has_a_voice_a_cue_and_no_markup_of_others() -> None:
    cues = to_vtt(MUTE).split("\n\n")
    assert cues[0] == "WEBVTT" and len(cues) == 4, "a turn without length is no cue"
    assert cues[1] == "1\n00:00:00.500 --> 00:00:02.250\n<v Ada &lt;L&gt; &amp; Co>Ada &lt;L&gt; &amp; Co:"
    assert cues[3].splitlines()[1] == "01:01:40.100 --> 01:01:41.100"
    assert "Good --&gt; day" in to_vtt(SPOKEN)


def test_srt_and_text() -> None:
    assert to_srt(SPOKEN) == (
        "1\n00:00:00,000 --> 00:00:01,000\nAda: Good --> day\n\n2\n00:00:01,000 --> 00:00:02,000\nUnknown: what?\n"
    )
    assert to_text(SPOKEN) == "[00:00:00.000] Ada: Good --> day\n[00:00:01.000] Unknown: what?\n"
