"""What a page may say on the data channel, and what it is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from speakerlight.core.errors import InputError
from speakerlight.server.rate_limit import RateLimiter

MESSAGE_BYTES = 1024
NAME_LETTERS = 40
MOST_NAMES = 200
HIGHEST_ID = 1_000_000
LATEST = 1e15
"""Milliseconds: a number that JavaScript writes without an exponent, and later than any clock."""

MAX_ERRORS = 10
"""So many messages that are of no use end the room."""

BURST_MESSAGES, MESSAGES_A_SECOND = 50, 10.0
"""A page sends a ping a second, and what its user types."""


class Messages:
    """One page's side of the talk: names and pin as they stand. Methods give JSON lines to answer with."""

    def __init__(self, tell: Callable[[str, str], None], now: Callable[[], float | None]) -> None:
        """``tell``: kind and line of what all listeners should know; ``now``: session time in seconds."""
        self._tell, self._now = tell, now
        self._names: dict[int, str] = {}
        self._errors = 0
        self._allowance = RateLimiter(BURST_MESSAGES, MESSAGES_A_SECOND)

    @property
    def is_hopeless(self) -> bool:
        """The page has said too much that is of no use."""
        return self._errors > MAX_ERRORS

    def take(self, text: str | bytes) -> list[str]:
        """What the page is answered."""
        try:
            if not self._allowance.take(time.monotonic()):
                raise InputError("too many messages; wait a second")
            return self._taken(_parsed(text))
        except InputError as error:
            self._errors += 1
            return [line("error", message=str(error))]

    def _taken(self, message: dict[str, object]) -> list[str]:
        match message:
            case {"type": "ping", "sent": int() | float() as sent} if len(message) == 2:
                return self._pong(sent)
            case {"type": "name", "id": int() as person, "name": str() as name} if len(message) == 3:
                self._name(_checked(person), name)
            case {"type": "pin", "id": None} if len(message) == 2:
                self._tell("pinned", line("pinned", id=None))
            case {"type": "pin", "id": int() as person} if len(message) == 2:
                self._tell("pinned", line("pinned", id=_checked(person)))
            case _:
                raise InputError("unknown message: use ping, name or pin")
        return []

    def _pong(self, sent: float) -> list[str]:
        if isinstance(sent, bool) or not -LATEST < sent < LATEST:
            raise InputError("sent is a number of milliseconds")
        now = self._now()
        return [] if now is None else [line("pong", sent=sent, time=round(now, 3))]

    def _name(self, person: int, name: str) -> None:
        name = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
        if len(name) > NAME_LETTERS:
            raise InputError(f"a name has at most {NAME_LETTERS} letters")
        if name and person not in self._names and len(self._names) >= MOST_NAMES:
            raise InputError(f"at most {MOST_NAMES} people can be named")
        if name:
            self._names[person] = name
        else:
            self._names.pop(person, None)
        self._tell("names", line("names", names={str(each): name for each, name in self._names.items()}))


def line(kind: str, **fields: object) -> str:
    """One JSON line."""
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)


def _parsed(text: str | bytes) -> dict[str, object]:
    if not isinstance(text, str) or len(text.encode()) > MESSAGE_BYTES:
        raise InputError(f"a message is text of at most {MESSAGE_BYTES} bytes")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("a message is one JSON object") from None
    if not isinstance(message, dict):
        raise InputError("a message is one JSON object")
    return message


def _checked(person: int) -> int:
    if isinstance(person, bool) or not 1 <= person <= HIGHEST_ID:
        raise InputError(f"an id is a whole number from 1 to {HIGHEST_ID}")
    return person
