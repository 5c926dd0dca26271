"""The README: its examples run, its options and links exist, and it stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from speakerlight import command_line
from speakerlight.core.errors import InputError
from tests.stream.sources.conftest import Clip

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
SERVER = (ROOT / ".github" / "SERVER.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def models() -> None:
    from speakerlight.model_cache import fetch
    from speakerlight.model_files import BLAZEFACE_SHORT

    try:
        fetch(BLAZEFACE_SHORT)
    except InputError as error:
        pytest.skip(str(error))


def test_there_is_an_example_of_each_part_of_the_interface() -> None:
    assert any("SpeakerDetector" in example for example in EXAMPLES)
    assert any("run(" in example for example in EXAMPLES)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run(number: int, tmp_path: Path, models: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Clip(sound_codec="aac").write(tmp_path / "meeting.mp4")
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLES[number], f"README example {number + 1}", "exec"), {"__name__": "__main__"})


def test_options_exist() -> None:
    known = {option for action in command_line.parser()._actions for option in action.option_strings}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT + SERVER)) <= known


def test_links_and_images_exist() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert "://" in link or (ROOT / link).exists(), link


def test_it_is_short() -> None:
    assert len(TEXT.split()) <= 1300
