"""Where the server may listen, and what must be given with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speakerlight.cluster.cluster_settings import LocalCluster
from speakerlight.core.errors import InputError
from speakerlight.run_settings import RunSettings
from speakerlight.server.serve_settings import ServeSettings, parse_address

TOKEN = "correct horse battery"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", ("127.0.0.1", 8080)),
        ("0", ("127.0.0.1", 0)),
        ("localhost:80", ("localhost", 80)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ("[::1]:8080", ("::1", 8080)),
    ],
)
def test_an_address(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", ":80", "80:host", "127.0.0.1:65536", "::1:80", "host:8e1", "-1"])
def test_no_address(text: str) -> None:
    with pytest.raises(InputError, match="write PORT, or HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_loopback_needs_no_token(host: str) -> None:
    assert ServeSettings(host, 80).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org"])
def test_any_other_address_does(host: str) -> None:
    with pytest.raises(InputError, match="--token"):
        ServeSettings(host, 80)
    assert not ServeSettings(host, 80, TOKEN).is_loopback


@pytest.mark.parametrize(
    "token", ["", "short", "fifteen-letters", "schlüssel-wort-mit-umlaut", "two\nlines of a token"]
)
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="--token: use 16 or more ASCII") as refused:
        ServeSettings("127.0.0.1", 80, token)
    assert not token or token not in str(refused.value)


def test_the_token_is_in_no_text() -> None:
    assert TOKEN not in repr(ServeSettings("127.0.0.1", 80, TOKEN))
    assert TOKEN not in repr(RunSettings(serve=ServeSettings("127.0.0.1", 80, TOKEN)))
    assert TOKEN not in ServeSettings("127.0.0.1", 80, TOKEN).url


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    there = tmp_path / "there.pem"
    there.touch()
    with pytest.raises(InputError, match="give both"):
        ServeSettings("127.0.0.1", 80, cert=there)
    with pytest.raises(InputError, match=r"--key .*: no such file"):
        ServeSettings("127.0.0.1", 80, cert=there, key=tmp_path / "gone.pem")
    assert ServeSettings("127.0.0.1", 80, cert=there, key=there).url == "https://127.0.0.1:80/"


def test_the_address_to_type() -> None:
    assert ServeSettings("127.0.0.1", 80).url == "http://127.0.0.1:80/"
    assert ServeSettings("::1", 80).url == "http://[::1]:80/"


def test_what_only_a_run_on_this_machine_has_needs_its_video(tmp_path: Path) -> None:
    serve = ServeSettings("127.0.0.1", 80)
    given: dict[str, Any]
    for given in ({"audio": "none"}, {"events": "-"}, {"output": tmp_path / "x.mp4"}, {"plot": tmp_path / "x.png"}):
        option = f"--{next(iter(given))}"
        with pytest.raises(InputError, match=f"^{option}: with --serve"):
            RunSettings(serve=serve, **given)
        RunSettings(serve=serve, video="0", **given)
    with pytest.raises(InputError, match="leave --fast out"):
        RunSettings(serve=serve, video="demo", fast=True)


def test_recognition_in_rooms_needs_people_and_rooms_of_this_process(tmp_path: Path) -> None:
    settings = ServeSettings("127.0.0.1", 80, recognizes=True)
    with pytest.raises(InputError, match="--recognize: name the file"):
        RunSettings(serve=settings)
    assert RunSettings(serve=settings, people_file=tmp_path / "people.json").serve == settings
    with pytest.raises(InputError, match="--recognize: the hosts of --cluster"):
        ServeSettings("127.0.0.1", 80, recognizes=True, cluster=LocalCluster(2))
