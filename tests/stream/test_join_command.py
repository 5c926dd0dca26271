"""``speakerlight join``: files in, text or a file out, one line for what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from speakerlight import command_line
from speakerlight.core.transcript import Line, Transcript, to_json

WORDS = [{"word": "Größe", "start": 0.2, "end": 0.5}, {"word": "so", "start": 2.2, "end": 2.5}]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "words.json").write_text(json.dumps(WORDS), encoding="utf-8-sig")
    session = Transcript([Line(1, 0.0, 2.0), Line(2, 2.0, 4.0)], {1: "Ada"}, 4.0)
    (tmp_path / "session.json").write_text(to_json(session))
    return str(tmp_path / "words.json"), str(tmp_path / "session.json")


def test_who_said_what_is_printed(files: tuple[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["join", *files]) == 0
    assert capfd.readouterr().out == "[00:00:00.200] Ada: Größe\n[00:00:02.200] Person 2: so\n"


def test_who_said_what_is_written(files: tuple[str, str], tmp_path: Path) -> None:
    for suffix in (".vtt", ".srt", ".csv", ".json", ".txt"):
        assert command_line.main(["join", *files, "--output", str(tmp_path / f"o{suffix}")]) == 0
        assert "Größe" in (tmp_path / f"o{suffix}").read_text(encoding="utf-8")


def test_what_cannot_be_used_is_one_line(
    files: tuple[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words, session = files
    refused = [[], [words], [words, str(tmp_path / "missing.json")], [session, words], [words, words]]
    refused += [[words, session, "--output", str(tmp_path / "o.doc")], [words, session, "--output", session]]
    for arguments in refused:
        capfd.readouterr()
        assert command_line.main(["join", *arguments]) == 2, arguments
        assert len(capfd.readouterr().err.splitlines()) == 1
