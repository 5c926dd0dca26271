"""Join of words and segments: every form of speech-to-text, and each word under the person who spoke then."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speakerlight.core.errors import InputError
from speakerlight.core.transcript import Line, Transcript
from speakerlight.core.word_join import Word, decoded, join, read_session, read_words

SESSION = Transcript([Line(1, 0.0, 2.0), Line(2, 2.1, 4.0), Line(1, 6.0, 7.0)], {1: "Ada"}, 8.0)


def words(given: Any) -> list[tuple[str, float, float]]:
    found = read_words(json.dumps(given))
    return [(word.text, round(word.start, 3), round(word.end, 3)) for word in found]


def test_whisper_cpp_with_tokens() -> None:
    def token(text: str, start: int, end: int) -> dict[str, Any]:
        return {"text": text, "offsets": {"from": start, "to": end}, "id": 1, "p": 0.9}

    tokens = [token("[_BEG_]", 0, 0), token(" And", 320, 410), token(" un", 410, 500), token("likely", 500, 900)]
    tokens += [token(",", 900, 910), token("[_TT_50]", 1000, 1000)]
    segment = {"offsets": {"from": 0, "to": 1000}, "text": " And unlikely,", "tokens": tokens}
    expected = [("And", 0.32, 0.41), ("unlikely,", 0.41, 0.91)]
    assert words({"systeminfo": "", "transcription": [segment]}) == expected


def test_whisper_cpp_of_one_word_a_segment() -> None:
    def segment(text: str, start: int, end: int) -> dict[str, Any]:
        return {"timestamps": {}, "offsets": {"from": start, "to": end}, "text": text}

    given = {"transcription": [segment("", 0, 100), segment(" And", 100, 200), segment(" so", 200, 300)]}
    assert words(given) == [("And", 0.1, 0.2), ("so", 0.2, 0.3)]


@pytest.mark.parametrize("wrap", [lambda segments: segments, lambda segments: {"text": "", "segments": segments}])
def test_faster_whisper_and_whisper(wrap: Any) -> None:
    one = {"word": " Ask", "start": 0.5, "end": 0.9, "probability": 0.8}
    two = {"word": " not", "start": 0.9, "end": 1.2, "probability": 0.8}
    segments = [{"id": 1, "start": 0.5, "end": 1.2, "text": " Ask not", "words": [one, two]}]
    assert words(wrap(segments)) == [("Ask", 0.5, 0.9), ("not", 0.9, 1.2)]


def test_whisperx_gives_no_time_for_what_it_could_not_align() -> None:
    aligned = [
        {"word": "In", "start": 1.0, "end": 1.2, "score": 0.9},
        {"word": "1961,"},
        {"word": "he", "start": 2.0, "end": 2.1},
    ]
    segments = [{"start": 1.0, "end": 3.0, "text": "In 1961, he said", "words": [*aligned, {"word": "said"}]}]
    expected = [("In", 1.0, 1.2), ("1961,", 1.2, 2.0), ("he", 2.0, 2.1), ("said", 2.1, 3.0)]
    assert words({"segments": segments, "word_segments": []}) == expected
    assert words({"word_segments": aligned[::2]}) == [("In", 1.0, 1.2), ("he", 2.0, 2.1)]


def test_segments_without_words_share_their_time_by_length() -> None:
    assert words([{"start": 0.0, "end": 1.0, "text": " a bcd e"}]) == [
        ("a", 0.0, 0.2),
        ("bcd", 0.2, 0.8),
        ("e", 0.8, 1.0),
    ]


def test_words_without_a_length_or_backwards_are_kept() -> None:
    given = [{"word": "so", "start": 1.0, "end": 1.0}, {"word": "it", "start": 3.0, "end": 2.0}]
    assert words(given) == [("so", 1.0, 1.02), ("it", 3.0, 3.02)]
    assert words([{"start": 3.0, "end": 1.0, "text": "a b"}]) == [("a", 3.0, 3.02), ("b", 3.0, 3.02)]


def test_words_without_a_time_are_passed_over() -> None:
    assert words([{"word": "42", "start": None, "end": None}, {"word": "so", "start": 1, "end": 2}]) == [("so", 1, 2)]


def test_letters_divided_between_tokens_are_put_together() -> None:
    """As whisper.cpp writes them: the file is no UTF-8, the two tokens together are."""
    half = b'{"text": " caf\xc3", "offsets": {"from": 0, "to": 500}}'
    rest = b'{"text": "\xa9", "offsets": {"from": 500, "to": 900}}'
    data = (
        b'{"transcription": [{"offsets": {"from": 0, "to": 900}, "text": "", "tokens": [' + half + b"," + rest + b"]}]}"
    )
    assert [word.text for word in read_words(decoded(data))] == ["café"]
    assert read_words(decoded(data.replace(rest, half)))[0].text == "caf\ufffd"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str) -> None:
    assert read_words(decoded('[{"word": "Größe", "start": 0, "end": 1}]'.encode(encoding)))[0].text == "Größe"


def test_one_word_a_line() -> None:
    lines = '{"word": "so", "start": 1, "end": 2}\n{"word": "it", "start": 0, "end": 1}\n'
    assert [word.text for word in read_words(lines)] == ["it", "so"]


BAD = [
    "",
    "no JSON",
    "{}",
    "[]",
    '{"segments": [], "language": "en"}',
    "null",
    "3",
    '"x"',
    '{"transcription": [{}]}',
    '[{"start": 0, "end": NaN, "text": "a"}]',
]
BAD += [
    '{"segments": 3}',
    '[{"start": null, "end": 1, "text": "a"}]',
    '[{"words": [3]}]',
    '[{"start": 1e999, "end": 1, "text": "a"}]',
]


@pytest.mark.parametrize("text", BAD)
def test_words_in_no_known_form_are_one_line(text: str) -> None:
    with pytest.raises(InputError) as refused:
        read_words(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"people": [], "turns": [{}]}', '{"people": 3, "turns": []}'])
def test_what_is_no_session_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match="not a session"):
        read_session(text)


values = st.recursive(
    st.none() | st.floats() | st.text() | st.integers(),
    lambda v: (
        st.lists(v)
        | st.dictionaries(
            st.sampled_from(
                [
                    "transcription",
                    "segments",
                    "words",
                    "word",
                    "start",
                    "end",
                    "text",
                    "offsets",
                    "from",
                    "to",
                    "tokens",
                    "turns",
                    "people",
                ]
            ),
            v,
        )
    ),
)


@given(values)
def test_any_json_gives_words_or_one_line(given_: Any) -> None:
    for read in (read_words, read_session):
        with suppress(InputError):
            read(json.dumps(given_))


def test_each_word_is_that_of_the_speaker_at_its_middle() -> None:
    spoken = [
        Word("Good", 0.1, 0.5),
        Word("day.", 0.5, 0.9),
        Word("Hello", 1.8, 2.6),
        Word("Ada", 2.6, 3.0),
        Word("Yes", 6.2, 6.4),
    ]
    joined = join(spoken, SESSION)
    assert joined.lines == [Line(1, 0.1, 0.9, "Good day."), Line(2, 1.8, 3.0, "Hello Ada"), Line(1, 6.2, 6.4, "Yes")]


def test_a_word_beside_a_segment_belongs_to_it_and_one_far_away_to_no_one() -> None:
    joined = join([Word("early", 5.5, 5.7), Word("lost", 4.8, 5.0), Word("late", 6.9, 7.1)], SESSION)
    assert [line.id for line in joined.lines] == [1, None, 1]


def test_in_a_moment_of_two_the_one_before_goes_on() -> None:
    session = Transcript([Line(1, 0.0, 5.0), Line(2, 2.0, 5.0)])
    spoken = [Word("a", 2.5, 2.7), Word("b", 0.2, 0.4), Word("c", 3.0, 3.2)]
    assert [join([Word("x", 0.5, 1.0), word], session).lines[-1].id for word in spoken] == [1, 1, 1]


def test_speakers_change_in_the_pause_between_words() -> None:
    """Person 2's segment begins 0.2 s later than is allowed for."""
    session = Transcript([Line(1, 0.3, 3.7), Line(2, 3.7, 6.0)])
    spoken = [Word("so?", 2.6, 2.9), Word("Well", 3.2, 3.4), Word("I", 3.4, 3.5), Word("think", 3.5, 3.8)]
    assert [(line.id, line.text) for line in join(spoken, session).lines] == [(1, "so?"), (2, "Well I think")]


def test_long_sessions_are_joined_in_little_time() -> None:
    """Three hours: the work grows with the number of words, not with that of the segments."""
    session = Transcript([Line(1 + k % 3, 3.0 * k, 3.0 * k + 2.9) for k in range(3600)])
    spoken = [Word("word", 0.4 * k, 0.4 * k + 0.3) for k in range(27_000)]
    began = time.process_time()
    join(spoken, session)
    assert time.process_time() - began < 5.0


def test_a_pause_begins_a_new_line() -> None:
    session = Transcript([Line(1, 0.0, 10.0)])
    assert len(join([Word("a", 0.0, 1.0), Word("b", 2.0, 3.0), Word("c", 5.0, 6.0)], session).lines) == 2


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 3)), max_size=30),
    st.lists(st.tuples(st.integers(1, 3), st.floats(0, 100), st.floats(0, 9)), max_size=20),
)
def test_no_word_is_lost(spoken: list[tuple[float, float]], turns: list[tuple[int, float, float]]) -> None:
    given_words = [Word(f"w{k}", start, start + length) for k, (start, length) in enumerate(sorted(spoken))]
    session = Transcript([Line(person, start, start + length) for person, start, length in turns])
    lines = " ".join(line.text for line in join(given_words, session).lines).split()
    assert lines == [word.text for word in given_words]


def test_segments_that_follow_the_voice_late_still_get_its_words() -> None:
    turns = [Line(1 + k % 3, 3.0 * k, 3.0 * k + 2.7) for k in range(20)]
    session = Transcript([Line(turn.id, turn.start + 0.16, turn.end + 0.6) for turn in turns])
    spoken = [Word(f"{turn.id}", turn.start + 0.3 * n, turn.start + 0.3 * n + 0.2) for turn in turns for n in range(9)]
    lines = [(line.id, word) for line in join(spoken, session).lines for word in line.text.split()]
    assert len(lines) == 180 and all(str(person) == word for person, word in lines)
