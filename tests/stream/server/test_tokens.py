"""Tokens: where they come from, and what they open."""

from __future__ import annotations

from pathlib import Path

import pytest

from speakerlight import command_line
from speakerlight.core.errors import InputError
from speakerlight.server.options import add_serve_options, serve_settings
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.server.tokens import TOKEN_VARIABLE, Access, Tokens

FULL, READ = "correct horse battery", "staple for reading"


def settings(*arguments: str) -> tuple[ServeSettings, list[str]]:
    """What the command line makes of ``arguments``, and what it reports."""
    parser = command_line._Parser(allow_abbrev=False)
    add_serve_options(parser)
    lines: list[str] = []
    made = serve_settings(parser.parse_args(["--serve", "0", *arguments]), lines.append)
    assert made is not None
    return made, lines


def test_what_a_token_opens() -> None:
    tokens = Tokens(FULL, READ)
    assert [tokens.access(given) for given in (None, "", "wrong", READ, FULL)] == [
        Access.NONE,
        Access.NONE,
        Access.NONE,
        Access.READ,
        Access.FULL,
    ]
    assert Tokens().access(None) is Access.FULL and Tokens().for_links is None


def test_links_carry_a_token_that_only_reads() -> None:
    tokens = Tokens(FULL)
    assert tokens.for_links == Tokens(FULL).for_links, "a link works after a restart"
    assert tokens.for_links != Tokens(FULL + "x").for_links
    assert tokens.access(tokens.for_links) is Access.READ
    assert Tokens(FULL, READ).for_links == READ


def test_tokens_come_from_the_argument_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(f"\ufeff{FULL}\r\n", "utf-8")
    assert settings()[0].token is None
    assert settings("--token", FULL)[0].token == FULL
    assert settings("--token-file", str(file))[0].token == FULL
    monkeypatch.setenv(TOKEN_VARIABLE, "from the environment")
    assert settings()[0].token == "from the environment"
    assert settings("--token-file", str(file))[0].token == FULL
    assert settings("--token", FULL)[0].token == FULL
    with pytest.raises(InputError, match="give one of them"):
        settings("--token", FULL, "--token-file", str(file))
    with pytest.raises(InputError, match=r"--token-file .*: cannot be read \(no such file"):
        settings("--token-file", str(tmp_path / "none"))


def test_a_token_is_made_up_and_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, lines = settings("--token", "auto", "--read-token", "auto")
    assert made.token and made.read_token and len(made.token) >= 24
    assert [line.rpartition(" ")[2] for line in lines] == [made.token, made.read_token]
    assert settings("--token", "auto")[0].token != made.token
    monkeypatch.setenv(TOKEN_VARIABLE, "auto")
    assert len(settings()[1]) == 1
    assert settings("--token", FULL)[1] == []


def test_a_read_token_needs_a_token_and_is_another() -> None:
    with pytest.raises(InputError, match="add --token too"):
        settings("--read-token", READ)
    with pytest.raises(InputError, match="give another"):
        settings("--token", FULL, "--read-token", FULL)
    with pytest.raises(InputError, match="--read-token: use 16"):
        settings("--token", FULL, "--read-token", "short")
