from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from speakerlight.command_line import main
from speakerlight.core.errors import InputError
from speakerlight.people_file import PeopleFile
from tests.core.people.test_enrolment import person


def names(path: Path) -> list[str]:
    return [each.name for each in PeopleFile(path).load()]


def test_a_file_is_made_on_request_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    assert PeopleFile(path).load() == [] and not path.exists()
    PeopleFile(path).update([])
    assert not path.exists()
    PeopleFile(path).update([person("Ada")])
    PeopleFile(path).update([person("Bob")])
    assert names(path) == ["Ada", "Bob"] and list(tmp_path.iterdir()) == [path]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_person_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "people.json"
    PeopleFile(path).update([person("Ada"), person("Bob")])
    assert main(["--people", str(path), "--people-forget", "Ada"]) == 0
    assert names(path) == ["Bob"]
    assert main(["--people", str(path), "--people-forget", "Ada"]) == 2
    assert "knows Bob" in capsys.readouterr().err
    assert main(["--people-forget", "Ada"]) == 2
    assert "--people FILE" in capsys.readouterr().err


def test_a_damaged_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text("not people")
    for attempt in (lambda: PeopleFile(path).load(), lambda: PeopleFile(path).update([person("Ada")])):
        with pytest.raises(InputError, match=r"--people .*people\.json"):
            attempt()
    assert path.read_text() == "not people"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        PeopleFile(tmp_path / "absent" / "people.json").update([person("Ada")])
