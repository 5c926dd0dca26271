"""Data channel messages: what a page may send, and the replies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from speakerlight.core.errors import InputError
from speakerlight.server.rate_limit import RateLimiter

MESSAGE_BYTES = 1024
MAX_NAME_LENGTH = 40
MAX_NAMES = 200
MAX_ID = 1_000_000
MAX_MILLISECONDS = 1e15
"""JavaScript writes larger numbers with an exponent, and no clock gets there."""

MAX_ERRORS = 10
"""More invalid messages than this close the room."""

BURST_MESSAGES, MESSAGES_PER_SECOND = 50, 10.0
"""A page sends one ping a second, and what its user types."""


class Messages:
    """The state that one page sets: names and pin. Methods return JSON lines to reply with."""

    def __init__(self, publish: Callable[[str, str], None], now: Callable[[], float | None]) -> None:
        """``publish``: takes kind and line of an event for all listeners. ``now``: session time in seconds."""
        self._publish, self._now = publish, now
        self._names: dict[int, str] = {}
        self._errors = 0
        self._rate = RateLimiter(BURST_MESSAGES, MESSAGES_PER_SECOND)

    @property
    def is_hopeless(self) -> bool:
        """Whether the page has sent too many invalid messages."""
        return self._errors > MAX_ERRORS

    def take(self, text: str | bytes) -> list[str]:
        """Handle one message; the replies."""
        try:
            if not self._rate.take(time.monotonic()):
                raise InputError("too many messages; wait a second")
            return self._handle(_parsed(text))
        except InputError as error:
            self._errors += 1
            return [line("error", message=str(error))]

    def _handle(self, message: dict[str, object]) -> list[str]:
        match message:
            case {"type": "ping", "sent": int() | float() as sent} if len(message) == 2:
                return self._pong(sent)
            case {"type": "name", "id": int() as person, "name": str() as name} if len(message) == 3:
                self._name(_checked(person), name)
            case {"type": "pin", "id": None} if len(message) == 2:
                self._publish("pinned", line("pinned", id=None))
            case {"type": "pin", "id": int() as person} if len(message) == 2:
                self._publish("pinned", line("pinned", id=_checked(person)))
            case _:
                raise InputError("unknown message: use ping, name or pin")
        return []

    def _pong(self, sent: float) -> list[str]:
        if isinstance(sent, bool) or not -MAX_MILLISECONDS < sent < MAX_MILLISECONDS:
            raise InputError("sent is a number of milliseconds")
        now = self._now()
        return [] if now is None else [line("pong", sent=sent, time=round(now, 3))]

    def _name(self, person: int, name: str) -> None:
        name = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
        if len(name) > MAX_NAME_LENGTH:
            raise InputError(f"a name has at most {MAX_NAME_LENGTH} letters")
        if name and person not in self._names and len(self._names) >= MAX_NAMES:
            raise InputError(f"at most {MAX_NAMES} people can be named")
        if name:
            self._names[person] = name
        else:
            self._names.pop(person, None)
        self._publish("names", line("names", names={str(each): name for each, name in self._names.items()}))


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
    if isinstance(person, bool) or not 1 <= person <= MAX_ID:
        raise InputError(f"an id is a whole number from 1 to {MAX_ID}")
    return person
