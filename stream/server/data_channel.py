"""Messages of a page or a program to a room, on the data channel or on ``/control``, and the replies.

A client in Python stands in .github/SERVER.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from speakerlight.control import Control
from speakerlight.core.errors import InputError
from speakerlight.core.events import ControlEvent
from speakerlight.server.rate_limit import RateLimiter

MESSAGE_BYTES = 1024
MAX_MILLISECONDS = 1e15
"""JavaScript writes larger numbers with an exponent; no clock value is as large."""

MAX_ERRORS, ERRORS_PER_SECOND = 10, 0.1
"""More invalid messages than this close the connection; with time, earlier ones are forgiven."""

BURST_MESSAGES, MESSAGES_PER_SECOND = 50, 10.0
"""Enough for a page: one ping a second, and the commands of its user."""


class Messages:
    """One client's messages to a room: commands of the schema, and pings. Methods return JSON lines to reply with."""

    def __init__(self, control: Control | None, now: Callable[[], float | None]) -> None:
        """``control`` None: the client may only listen. ``now``: session time in seconds; None before it has begun."""
        self._control, self._now = control, now
        self._errors = RateLimiter(MAX_ERRORS, ERRORS_PER_SECOND)
        self._is_hopeless = False
        self._rate = RateLimiter(BURST_MESSAGES, MESSAGES_PER_SECOND)

    @property
    def is_hopeless(self) -> bool:
        """Whether the client has sent too many invalid messages."""
        return self._is_hopeless

    def take(self, text: str | bytes) -> list[str]:
        """Handle one message and return the replies."""
        try:
            if not self._rate.take(time.monotonic()):
                raise InputError("too many messages; wait a second")
            if self._control is None:
                raise InputError("this address only sends events; commands go to /control")
            message = parsed(text)
            return self._pong(message) if message.get("type") == "ping" else [execute(self._control, message)]
        except InputError as error:
            self._is_hopeless = not self._errors.take(time.monotonic())
            return [line("error", message=str(error))]

    def _pong(self, message: dict[str, object]) -> list[str]:
        sent = message.get("sent")
        is_number = isinstance(sent, int | float) and not isinstance(sent, bool)
        if len(message) != 2 or not is_number or not -MAX_MILLISECONDS < sent < MAX_MILLISECONDS:  # type: ignore[operator]
            raise InputError("a ping has one more field, sent: a number of milliseconds")
        now = self._now()
        return [] if now is None else [line("pong", sent=sent, time=round(now, 3))]


def execute(control: Control, message: dict[str, object]) -> str:
    """Execute a command and return its acknowledgement. Raises InputError."""
    event = control.execute(message)
    return line("ack", time=round(event.time, 3), command=event.command)


def publish_state(control: Control, publish: Callable[[str, str], None]) -> None:
    """Publish all names and the pin after each command that changes them, for listeners that keep the newest alone."""

    def changed(event: ControlEvent) -> None:
        state, kind = control.state, event.command["type"]
        if kind in ("name", "reset"):
            publish("names", line("names", names={str(each): name for each, name in state.names.items()}))
        if kind in ("pin", "reset"):
            publish("pinned", line("pinned", id=state.pinned))

    control.subscribe(changed)


def line(kind: str, **fields: object) -> str:
    """One JSON line."""
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)


def parsed(text: str | bytes) -> dict[str, object]:
    """The JSON object that a message is. Raises InputError."""
    if not isinstance(text, str) or len(text.encode()) > MESSAGE_BYTES:
        raise InputError(f"a message is text of at most {MESSAGE_BYTES} bytes")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("a message is one JSON object") from None
    if not isinstance(message, dict):
        raise InputError("a message is one JSON object")
    return message
