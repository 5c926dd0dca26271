"""Input files: every name by which a run reads a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.input_files import input_files
from speakerlight.outputs.eventlog import EventLog
from speakerlight.outputs.files import check_writable
from speakerlight.run_settings import RunSettings


@contextmanager
def redirected(descriptor: int, path: Path) -> Iterator[None]:
    """While this lasts, a standard stream is the file at ``path``."""
    kept, new = os.dup(descriptor), os.open(path, os.O_RDWR | os.O_CREAT)
    os.dup2(new, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(new)


def test_standard_input_is_a_file_where_it_was_redirected(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").touch()
    with redirected(0, tmp_path / "in.mp4"), pytest.raises(InputError, match="this is the input"):
        check_writable(tmp_path / "in.mp4", "--output", ["-"])
    reader, writer = os.pipe()
    with redirected(0, Path(f"/dev/fd/{reader}")):
        assert input_files(["-"]) == []
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    "text",
    [
        '#EXTM3U\n#EXT-X-MAP:URI="part.ts"\n',
        "\ufeff#EXTM3U\r\n#EXTINF:4,\r\npart.ts\r\n",
        "#EXTM3U\n#EXTINF:4,\nfile:part.ts\n",
        "ffconcat version 1.0\nfile 'part.ts'\nduration 2\n",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nsub/inner.m3u8\n",
    ],
)
def test_what_a_playlist_names_is_input(tmp_path: Path, text: str) -> None:
    (tmp_path / "part.ts").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.m3u8").write_text("#EXTM3U\n../part.ts\ninner.m3u8\n")
    (tmp_path / "list").write_text(text)
    with pytest.raises(InputError, match="this is the input"):
        check_writable(tmp_path / "part.ts", "--rttm", [str(tmp_path / "list")])
    check_writable(tmp_path / "other.ts", "--rttm", [str(tmp_path / "list")])


def test_events_are_not_appended_to_the_input(tmp_path: Path) -> None:
    with redirected(1, tmp_path / "in.mp4"), pytest.raises(InputError, match="--events -: this is the input"):
        EventLog("-", [str(tmp_path / "in.mp4")])
    with redirected(1, tmp_path / "out.jsonl"):
        EventLog("-", [str(tmp_path / "in.mp4")])


def test_files_behind_standard_streams_are_no_other_outputs(tmp_path: Path) -> None:
    one = tmp_path / "one"
    with redirected(1, one):
        RunSettings(events="x", rttm=one)  # nothing else is written to standard output
        with pytest.raises(InputError, match=r"--rttm .*: --events - is written there too"):
            RunSettings(events="-", rttm=one)
    with redirected(2, one), pytest.raises(InputError, match=r"--events .*: standard error is written there too"):
        RunSettings(events=str(one))


def test_what_a_run_reads_beside_its_media_is_input(tmp_path: Path) -> None:
    settings = RunSettings(people_file=tmp_path / "p", obs="ws://h", obs_scenes=tmp_path / "s")
    assert {str(tmp_path / "p"), str(tmp_path / "s")} <= {*settings.inputs}
