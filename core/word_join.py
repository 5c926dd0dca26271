"""Join of timed words and speaking segments: who said what.

The words come from any recogniser that gives times: whisper.cpp (``-ojf``, or ``-oj`` with ``-ml 1``), faster-whisper
and Whisper (segments with ``words``) or WhisperX (``segments`` and ``word_segments``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speakerlight.core.errors import InputError
from speakerlight.core.transcript import Line, Transcript

REACH_SECONDS = 0.6
"""A word in no segment belongs to one this near: recognisers' word times are off by 0.2 s, and marks by up to 0.4 s."""

LATE_START_SECONDS, LATE_END_SECONDS = 0.3, 0.4
"""A segment begins and ends later than the voice: a mark needs evidence, and outlasts pauses. Chosen on composed
sessions of real people, where more of the words come out right than without this shift by 0.05 to 0.09, and on the demo
(by 0.03)."""

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
    """The words of a recogniser's JSON, in order of time. Raises InputError when there are none with times."""
    try:
        words = list(_words_in(_parsed(text)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"words in an unknown form ({type(error).__name__}: {error})") from error
    if not words:
        raise InputError("no timed words: whisper.cpp's -ojf, or segments with start, end and words or text")
    return sorted(words, key=lambda word: (word.start, word.end))


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
    """The session's transcript with text: each word under the speaker at its middle, consecutive words as one line."""
    lines: list[Line] = []
    speaker: int | None = None
    segments = [_as_spoken(segment) for segment in session.lines]
    for word in words:
        speaker = speaker_of(word, segments, speaker)
        last = lines[-1] if lines else None
        if last is not None and last.id == speaker and word.start - last.end <= PAUSE_SECONDS:
            lines[-1] = Line(speaker, last.start, max(last.end, word.end), f"{last.text} {word.text}")
        else:
            lines.append(Line(speaker, word.start, word.end, word.text))
    duration = max(session.duration, max((word.end for word in words), default=0.0))
    return Transcript(lines, session.names, duration, session.about)


def speaker_of(word: Word, segments: Sequence[Line], before: int | None) -> int | None:
    """Who said a word; None without a speaker near it. ``before``: the speaker of the word before it, who wins ties."""

    def cost(segment: Line) -> tuple[float, float, bool]:
        distance = max(segment.start - word.middle, word.middle - segment.end, 0.0)
        overlap = min(segment.end, word.end) - max(segment.start, word.start)
        return distance, -overlap, segment.id != before

    nearest = min(segments, key=cost, default=None)
    return nearest.id if nearest is not None and cost(nearest)[0] <= REACH_SECONDS else None


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
        segments = given.get("segments") or given.get("word_segments") or given["words"]
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
        if "start" in segment:
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
        share = (end - start) * len(word) / total
        yield Word(word, place, place + share)
        place += share


def _time(value: Any) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} is no time")
    return seconds


def _person(value: Any) -> int | None:
    return None if value is None else int(value)
