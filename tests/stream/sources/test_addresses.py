"""Names of sources: what is a file, a stream, a pipe or a device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from speakerlight.core.errors import InputError
from speakerlight.sources.addresses import is_device, is_pipe, is_stream, plain
from speakerlight.sources.containers import STREAM_PROTOCOLS


def test_file_addresses_are_the_paths_that_they_name(tmp_path: Path) -> None:
    odd = tmp_path / "50%25 off#1.mp4"
    odd.touch()
    for address, path in (
        ("file:///tmp/my%20clip.mp4", "/tmp/my clip.mp4"),
        ("FILE://localhost/tmp/a.mp4", "/tmp/a.mp4"),
        ("file:///tmp/a.mp4", "/tmp/a.mp4"),
        ("file:clips/a.mp4", "clips/a.mp4"),
        ("file:///tmp/%C3%A9.mp4", "/tmp/é.mp4"),
        (f"file://{odd}", str(odd)),
    ):
        assert plain(address) == path
    with pytest.raises(InputError, match="another machine"):
        plain("file://server/share/a.mp4")


def test_addresses_of_streams_are_as_ffmpeg_takes_them() -> None:
    assert plain("HTTP://User:a b@Host/My file.m3u8 ") == "http://User:a%20b@Host/My%20file.m3u8"


@pytest.mark.parametrize("name", ["10:30.mp4", "demo:people=3", "0", "-", "screen:0,0,9,9", "rtsp://u:p@h/a", "a%20b"])
def test_everything_else_stays(name: str) -> None:
    assert plain(name) == name


def test_what_is_before_a_colon_is_a_protocol_only_with_two_slashes() -> None:
    assert is_stream("rtsp://h/a") and is_stream("HTTP://h") and is_stream("udp://:5000")
    assert not any(is_stream(name) for name in ("10:30.mp4", "http:a", "file:///a", "a/b://c", "-"))


def test_pipes_and_devices_are_distinguished_from_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert is_pipe("-") and is_pipe(str(pipe)) and not is_pipe(str(tmp_path)) and not is_pipe("x" * 5000)
    assert is_device("/dev/null") and not is_device(str(pipe)) and not is_device("a\0b")


def test_no_stream_may_read_files() -> None:
    assert all("file" not in allowed.split(",") for allowed in STREAM_PROTOCOLS.values())
