"""Join of timed words and speaking segments: who said what.

The words come from any speech-to-text program that gives times: whisper.cpp (``-ojf``, or ``-oj`` with ``-ml 1``),
faster-whisper and Whisper (segments with ``words``) or WhisperX (``segments`` and ``word_segments``).
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from speakerlight.core.errors import InputError
from speakerlight.core.transcript import Line, Transcript

REACH_SECONDS = 0.6
"""A word in no segment belongs to one this near: words are off by 0.2 s, and marks by up to 0.4 s."""

LATE_START_SECONDS, LATE_END_SECONDS = 0.3, 0.4
"""A segment begins and ends later than the voice: a mark needs evidence, and outlasts pauses. Chosen on composed
sessions of real people, where more of the words come out right than without this shift by 0.05 to 0.09, and on the demo
(by 0.03)."""

CHANGE_SECONDS, CHANGE_PAUSE_SECONDS = 0.3, 0.4
"""Cost of a change of speaker between words without a pause, in seconds of distance to a segment, and the pause from
which a change is free. On composed sessions of real people 0.972 instead of 0.966 of the words come out right. With a
cost of 0.6 it is 0.977, but answers of one word within somebody's speech are lost."""

SHORTEST_WORD_SECONDS = 0.02
"""Shortest word: whisper.cpp gives some words no length, and recognisers' times may run backwards."""

PAUSE_SECONDS = 1.5
"""A longer pause begins a new line of the same person."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Word:
    """A word as it was spoken, with its time in seconds."""

    text: str
    start: float
    end: float

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


def read_words(text: str) -> list[Word]:
    """The words of a speech-to-text JSON, in order of time. Raises InputError when there are none with times."""
    try:
        words = list(_words_in(_parsed(text)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"words in an unknown form ({type(error).__name__}: {error})") from error
    if not words:
        raise InputError("no timed words: whisper.cpp's -ojf, or segments with start, end and words or text")
    whole = [Word(_repaired(w.text), w.start, max(w.end, w.start + SHORTEST_WORD_SECONDS)) for w in words]
    return sorted(whole, key=lambda word: (word.start, word.end))


def decoded(data: bytes) -> str:
    """A JSON file's text: UTF-8 or, as shells of Windows write, UTF-16. Bytes that are no UTF-8 become surrogates."""
    return data.decode(json.detect_encoding(data), "surrogateescape")


def read_session(text: str) -> Transcript:
    """A session that was exported as JSON. Raises InputError."""
    try:
        given = json.loads(text)
        lines = [Line(_person(turn["id"]), _time(turn["start"]), _time(turn["end"])) for turn in given["turns"]]
        names = {int(each["id"]): str(each["name"]) for each in given["people"] if each.get("name")}
        about = {key: given[key] for key in ("video", "audio") if key in given}
        return Transcript(lines, names, _time(given.get("duration", 0.0)), about)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"not a session that --export wrote as JSON ({type(error).__name__}: {error})") from error


def join(words: Sequence[Word], session: Transcript) -> Transcript:
    """The session's transcript with text: each word under its speaker, consecutive words of one speaker as one line."""
    lines: list[Line] = []
    for word, speaker in zip(words, speakers_of(words, session.lines), strict=True):
        last = lines[-1] if lines else None
        if last is not None and last.id == speaker and word.start - last.end <= PAUSE_SECONDS:
            lines[-1] = Line(speaker, last.start, max(last.end, word.end), f"{last.text} {word.text}")
        else:
            lines.append(Line(speaker, word.start, word.end, word.text))
    duration = max(session.duration, max((word.end for word in words), default=0.0))
    return Transcript(lines, session.names, duration, session.about)


def speakers_of(words: Sequence[Word], segments: Sequence[Line]) -> list[int | None]:
    """Who said each word, in order; None without a speaker near it.

    Words cost their distance to the nearest segment of the speaker, changes of speaker cost more the shorter the pause
    between the words: the sequence of least cost (Viterbi), which changes speakers in the pauses.
    """
    spans: dict[int | None, _Spans] = {
        person: _Spans([_as_spoken(each) for each in segments if each.id == person]) for person in _people(segments)
    }
    candidates: list[int | None] = [*spans, None]
    costs = dict.fromkeys(candidates, 0.0)
    origins: list[dict[int | None, int | None]] = []
    for before, word in zip([None, *words], words, strict=False):
        best = min(candidates, key=costs.__getitem__)
        limit = costs[best] + _change_cost(before, word)
        origins.append({each: each if costs[each] <= limit else best for each in candidates})
        costs = {each: min(costs[each], limit) + _distance(word, spans.get(each)) for each in candidates}
    speaker = min(candidates, key=costs.__getitem__)
    path: list[int | None] = []
    for origin in reversed(origins):
        path.append(speaker)
        speaker = origin[speaker]
    return path[::-1]


class _Spans:
    """When one person spoke. ``distance`` is that of a moment from the nearest segment, in seconds."""

    def __init__(self, segments: Sequence[Line]) -> None:
        ordered = sorted(segments, key=lambda segment: segment.start)
        self._starts = [segment.start for segment in ordered]
        self._ends = list(accumulate((segment.end for segment in ordered), max))

    def distance(self, moment: float) -> float:
        following = bisect_right(self._starts, moment)
        since = moment - self._ends[following - 1] if following else math.inf
        until = self._starts[following] - moment if following < len(self._starts) else math.inf
        return max(min(since, until), 0.0)


def _distance(word: Word, spans: _Spans | None) -> float:
    """The cost of a word under a speaker; None: under nobody."""
    if spans is None:
        return REACH_SECONDS
    distance = spans.distance(word.middle)
    return distance if distance <= REACH_SECONDS else math.inf


def _people(segments: Sequence[Line]) -> list[int]:
    return list(dict.fromkeys(segment.id for segment in segments if segment.id is not None))


def _change_cost(before: Word | None, word: Word) -> float:
    if before is None:
        return 0.0
    pause = max(word.start - before.end, 0.0)
    return CHANGE_SECONDS * max(1.0 - pause / CHANGE_PAUSE_SECONDS, 0.0)


def _as_spoken(segment: Line) -> Line:
    """The segment at the time of the voice; a short one keeps its middle."""
    middle = (segment.start + segment.end) / 2 - LATE_START_SECONDS
    end = max(segment.end - LATE_END_SECONDS, middle)
    return Line(segment.id, segment.start - LATE_START_SECONDS, end, segment.text)


def _parsed(text: str) -> Any:
    """One JSON value, or one a line."""
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _words_in(given: Any) -> Iterator[Word]:
    if isinstance(given, list):
        segments = given
    elif "transcription" in given:
        for segment in given["transcription"]:
            yield from _whisper_cpp(segment)
        return
    else:
        lists = [given[key] for key in ("segments", "word_segments", "words") if key in given]
        if not lists:
            raise ValueError("it has no transcription, segments, word_segments or words")
        segments = next(filter(None, lists), [])
    for segment in segments:
        yield from _spread(segment)


def _whisper_cpp(segment: Json) -> Iterator[Word]:
    """A segment with offsets in milliseconds; its tokens, if any, are parts of words: a space begins a new one."""
    tokens = [token for token in segment.get("tokens", ()) if not token["text"].startswith("[_")]
    parts: list[tuple[str, float, float]] = []
    for token in tokens:
        start, end = _offsets(token)
        if parts and not token["text"].startswith(" "):
            text, first, last = parts[-1]
            parts[-1] = text + token["text"], first, max(last, end)
        else:
            parts.append((token["text"], start, end))
    if parts:
        yield from (Word(text.strip(), start, end) for text, start, end in parts if text.strip())
    else:
        start, end = _offsets(segment)
        yield from _evenly(segment["text"], start, end)


def _offsets(part: Json) -> tuple[float, float]:
    offsets = part["offsets"]
    return _time(offsets["from"]) / 1000, _time(offsets["to"]) / 1000


def _spread(segment: Json) -> Iterator[Word]:
    """A segment with ``words``, or one that is a word, or only text: then its words share its time by their length.

    WhisperX gives no time for a word that it could not align: it gets the time between its neighbours.
    """
    words = segment.get("words")
    if not words:
        text = segment.get("word", segment.get("text", ""))
        if segment.get("start") is not None:
            yield from _evenly(str(text), _time(segment["start"]), _time(segment["end"]))
        return
    edge = _time(segment.get("start", 0.0))
    for k, word in enumerate(words):
        following = [each["start"] for each in words[k:] if each.get("start") is not None]
        start = _time(word["start"]) if word.get("start") is not None else edge
        end = word.get("end")
        if end is None:
            end = following[0] if following else segment.get("end", start)
        edge = _time(end)
        text = str(word.get("word", word.get("text", ""))).strip()
        if text:
            yield Word(text, start, max(edge, start))


def _evenly(text: str, start: float, end: float) -> Iterator[Word]:
    words = text.split()
    total = sum(len(word) for word in words)
    place = start
    for word in words:
        share = max(end - start, 0.0) * len(word) / total
        yield Word(word, place, place + share)
        place += share


def _time(value: Any) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} is no time")
    return seconds


def _repaired(text: str) -> str:
    """Put letters together whose bytes whisper.cpp divided between tokens."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _person(value: Any) -> int | None:
    return None if value is None else int(value)
