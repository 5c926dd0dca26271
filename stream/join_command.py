"""Command ``join WORDS.json SESSION.json``: who said what, from timed words of any speech-to-text program."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from speakerlight.core.errors import InputError
from speakerlight.core.transcript import FORMATS, to_text
from speakerlight.core.word_join import decoded, join, read_session, read_words
from speakerlight.outputs.files import check_writable, write_whole

OPTION = "--output"


def main(arguments: list[str], program: str) -> int:
    """Write the transcript; returns the exit status. ``program``: shown in the usage. Raises InputError."""
    given = _parser(program).parse_args(arguments)
    words, session = _text(given.words), _text(given.session)
    try:
        transcript = join(read_words(words), read_session(session))
    except InputError as error:
        raise InputError(f"join: {error}") from error
    if given.output is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        sys.stdout.write(to_text(transcript))
        return 0
    suffix = given.output.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{OPTION} {given.output}: give it a name that ends in {', '.join(FORMATS)}")
    check_writable(given.output, OPTION, [str(given.words), str(given.session)])
    write_whole(given.output, FORMATS[suffix](transcript).encode())
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"join: {message} (join --help explains it)")


def _parser(program: str) -> _Parser:
    description = "Who said what, from the timed words of a speech-to-text program."
    parser = _Parser(prog=program, description=description, allow_abbrev=False)
    words_help = "of whisper.cpp (-ojf), Whisper or faster-whisper (segments with words) or WhisperX"
    parser.add_argument("words", metavar="WORDS.json", type=Path, help=words_help)
    parser.add_argument("session", metavar="SESSION.json", type=Path, help="what --export SESSION.json wrote")
    forms = ", ".join(FORMATS)
    parser.add_argument(OPTION, metavar="FILE", type=Path, help=f"{forms} by its suffix; else text on standard output")
    return parser


def _text(path: Path) -> str:
    try:
        return decoded(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"join: {path} cannot be read ({getattr(error, 'strerror', None) or error})") from error
