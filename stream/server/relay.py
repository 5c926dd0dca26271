"""Hands a room's events on to whoever listens: newest only, so that a slow listener misses some and delays nobody."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from speakerlight.core.events import Event
from speakerlight.outputs.output import Output

SCORES = "scores"

SCORES_WAITING = 10
"""Ticks that may wait for one listener. The scorer decides up to a few at once; 0.4 s is of no use to anybody."""


class Relay(Output):
    """The events of one run for any number of listeners on ``loop``; may be fed from any thread.

    Of ``scores`` a listener gets those that it can keep up with, of every other kind at least the newest, also of what
    was told before it came.
    """

    option = "--serve"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._newest: dict[str, str] = {}
        self._outboxes: set[Outbox] = set()
        self._is_closed = False

    def event(self, event: Event) -> None:
        self.tell(event.type, event.to_json())

    def tell(self, kind: str, line: str) -> None:
        """``line`` to all listeners; the newest of its ``kind`` from now on."""
        with self._lock:
            if kind != SCORES:
                self._newest[kind] = line
            for outbox in self._outboxes:
                outbox.put(kind, line)

    def listen(self) -> Outbox:
        """A new listener's outbox."""
        outbox = Outbox(self._loop)
        with self._lock:
            for kind, line in self._newest.items():
                outbox.put(kind, line)
            if self._is_closed:
                outbox.close()
            else:
                self._outboxes.add(outbox)
        return outbox

    def leave(self, outbox: Outbox) -> None:
        """The listener has gone."""
        with self._lock:
            self._outboxes.discard(outbox)

    def close(self) -> None:
        """Nothing more will be told: listeners end when they have got what waits."""
        with self._lock:
            self._is_closed = True
            for outbox in self._outboxes:
                outbox.close()
            self._outboxes.clear()


class Outbox:
    """What waits for one listener, oldest first: a few lines, whatever happens."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, str]] = deque()
        self._is_closed = False
        self._changed = asyncio.Event()

    def put(self, kind: str, line: str) -> None:
        """From any thread."""
        with self._lock:
            same = [item for item in self._waiting if item[0] == kind]
            if len(same) >= (SCORES_WAITING if kind == SCORES else 1):
                self._waiting.remove(same[0])
            self._waiting.append((kind, line))
        self._loop.call_soon_threadsafe(self._changed.set)

    def close(self) -> None:
        """Nothing more will come. From any thread."""
        with self._lock:
            self._is_closed = True
        self._loop.call_soon_threadsafe(self._changed.set)

    async def take(self) -> list[str]:
        """All lines that wait, once there are any; empty when no more will come."""
        while True:
            await self._changed.wait()
            with self._lock:
                lines = [line for _, line in self._waiting]
                self._waiting.clear()
                if lines or self._is_closed:
                    return lines
                self._changed.clear()
