"""Access tokens: their sources (option, file, environment, generated), comparison, and what each one opens."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from speakerlight.core.errors import InputError

AUTO = "auto"
"""Option value that asks for a token generated for this run."""

AUTO_BYTES = 18
"""144 bits, 24 letters."""

TOKEN_VARIABLE = "SPEAKERLIGHT_TOKEN"

MIN_TOKEN_LENGTH = 16
"""At ten guesses a minute an address, sixteen letters are out of reach even of many addresses and a poor choice."""


class Access(IntEnum):
    """Permission of a request; a higher value includes the lower ones."""

    NONE = 0
    READ = 1
    """Events and the overlay."""
    FULL = 2


@dataclass(frozen=True)
class Tokens:
    """The secrets of a server. ``full`` None: no token is needed. ``read_only`` opens events and overlay alone; without
    it, one that is derived from ``full`` does, so that links handed to other programs never carry ``full``.

    Raises InputError for tokens that can be guessed or cannot be sent.
    """

    full: str | None = field(default=None, repr=False)
    read_only: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for option, token in (("--token", self.full), ("--read-token", self.read_only)):
            if token is not None and (len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable()):
                raise InputError(f"{option}: use {MIN_TOKEN_LENGTH} or more ASCII letters and digits, or {AUTO}")
        if self.read_only is not None and self.full is None:
            raise InputError("--read-token: without --token everything is open; add --token too")
        if self.read_only is not None and self.read_only == self.full:
            raise InputError("--read-token: this is the --token; give another")

    @property
    def for_links(self) -> str | None:
        """The read-only token; the same in every run with the same ``full``. None where no token is needed."""
        if self.full is None or self.read_only is not None:
            return self.read_only
        digest = hmac.digest(self.full.encode(), b"speakerlight read-only", "sha256")
        return base64.urlsafe_b64encode(digest[:AUTO_BYTES]).decode()

    def access(self, given: str | None) -> Access:
        """The access that ``given``, the token of a request, opens. Takes the same time for every wrong token."""
        if self.full is None or self.for_links is None:
            return Access.FULL
        if given is None:
            return Access.NONE
        is_full, is_read = _equal(given, self.full), _equal(given, self.for_links)
        return Access.FULL if is_full else Access.READ if is_read else Access.NONE


def token_from(argument: str | None, file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token of ``--token``, ``--token-file`` or the environment, in this order; None where there is none.

    Raises InputError.
    """
    if argument is not None and file is not None:
        raise InputError("--token and --token-file: give one of them")
    if file is not None:
        return _read(file)
    return argument if argument is not None else environment.get(TOKEN_VARIABLE) or None


def new_token() -> str:
    """A random token."""
    return secrets.token_urlsafe(AUTO_BYTES)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or "").lower() if isinstance(error, OSError) else "not text"
        raise InputError(f"--token-file {file}: cannot be read ({why}); give a file that holds the token") from None


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
