"""Event relay: forwards a room's events to its listeners. A slow listener misses events and delays no other one.

What a listener misses is not counted: it gets the newest state. ``missed_events`` counts for the outputs of a run, in
``outputs/background.py`` and ``outputs/eventlog.py``; ``outputs/hub.py`` reports it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from speakerlight.core.events import Event
from speakerlight.outputs.output import Output
from speakerlight.threads import call_in_loop

SCORES = "scores"

SCORES_WAITING = 10
"""Ticks that may wait for one listener: 0.4 s. The scorer may decide a few at once; older ones are of no use."""

WAITING = {SCORES: SCORES_WAITING, "control": 50}
"""Maximum number of waiting lines by kind; of any other kind only the newest."""


class Relay(Output):
    """The events of one run for any number of listeners on ``loop``; may be fed from any thread.

    A listener gets the ``scores`` it can keep up with, and of every other kind at least the newest, including one
    published before it subscribed.
    """

    option = "--serve"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._newest: dict[str, str] = {}
        self._outboxes: set[Outbox] = set()
        self._is_closed = False

    def event(self, event: Event) -> None:
        self.publish(event.type, event.to_json())

    def publish(self, kind: str, line: str) -> None:
        """Send ``line`` to all listeners, and to new listeners until a newer line of its ``kind`` replaces it."""
        with self._lock:
            if kind != SCORES:
                self._newest[kind] = line
            for outbox in self._outboxes:
                outbox.put(kind, line)

    def subscribe(self) -> Outbox:
        """The outbox of a new listener."""
        outbox = Outbox(self._loop)
        with self._lock:
            for kind, line in self._newest.items():
                outbox.put(kind, line)
            if self._is_closed:
                outbox.close()
            else:
                self._outboxes.add(outbox)
        return outbox

    def unsubscribe(self, outbox: Outbox) -> None:
        """Remove a listener that has disconnected."""
        with self._lock:
            self._outboxes.discard(outbox)

    def close(self) -> None:
        """End the relay: listeners finish once they have received the waiting lines."""
        with self._lock:
            self._is_closed = True
            for outbox in self._outboxes:
                outbox.close()
            self._outboxes.clear()


class Outbox:
    """Bounded queue of lines for one listener, oldest first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, str]] = deque()
        self._is_closed = False
        self._changed = asyncio.Event()

    def put(self, kind: str, line: str) -> None:
        """Add a line, dropping the oldest of its kind if there are too many. From any thread."""
        with self._lock:
            same = [item for item in self._waiting if item[0] == kind]
            if len(same) >= WAITING.get(kind, 1):
                self._waiting.remove(same[0])
            self._waiting.append((kind, line))
        call_in_loop(self._loop, self._changed.set)

    def close(self) -> None:
        """End of the queue. From any thread."""
        with self._lock:
            self._is_closed = True
        call_in_loop(self._loop, self._changed.set)

    async def take(self) -> list[str]:
        """All waiting lines, once there are any; empty after the end."""
        while True:
            await self._changed.wait()
            with self._lock:
                lines = [line for _, line in self._waiting]
                self._waiting.clear()
                if lines or self._is_closed:
                    return lines
                self._changed.clear()
