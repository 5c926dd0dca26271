"""Room records of a door (gateway): a copy of each room's newest handover, and which room a moved page has now.

They are a cache: a door that restarts finds every room by its id without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEPT_SECONDS = 60.0
"""How long a copy is kept after its host stopped reporting the room. Pages reconnect within some seconds."""

MOST_MOVES = 10_000
"""Maximum number of old room ids that still lead to the new ones; the oldest are dropped."""


@dataclass(frozen=True)
class _Copy:
    host: str
    tag: int
    handover: Mapping[str, Any]
    seen: float


class RoomRecords:
    """Belongs to the door's loop. Times are seconds that never go back."""

    def __init__(self) -> None:
        self._copies: dict[str, _Copy] = {}
        self._moves: dict[str, str] = {}

    def tags(self, host: str) -> dict[str, int]:
        """Tags of the copies of a host's rooms, which the host compares with its own."""
        return {room: copy.tag for room, copy in self._copies.items() if copy.host == host}

    def update(self, host: str, reported: Mapping[str, Mapping[str, Any] | None], now: float) -> None:
        """Store what a host reported: tag and handover of each room, None where the copy's tag is current."""
        for room, change in reported.items():
            if change is not None:
                self._copies[room] = _Copy(host, int(change["tag"]), dict(change["handover"]), now)
            elif (copy := self._copies.get(room)) is not None:
                self._copies[room] = _Copy(host, copy.tag, copy.handover, now)
        self._copies = {room: copy for room, copy in self._copies.items() if now - copy.seen < KEPT_SECONDS}

    def handover(self, room: str) -> Mapping[str, Any] | None:
        """The copy of a room's handover; None where there is none."""
        copy = self._copies.get(room)
        return copy.handover if copy is not None else None

    def moved(self, before: str, after: str) -> None:
        """Record that the page of the room ``before`` now has the room ``after``."""
        self._moves.pop(before, None)
        self._moves[before] = after
        if len(self._moves) > MOST_MOVES:
            del self._moves[next(iter(self._moves))]

    def newest(self, room: str) -> str:
        """The room that the page of ``room`` has now: ``room`` itself where it has not moved."""
        passed: set[str] = set()
        while (after := self._moves.get(room)) is not None and room not in passed:
            passed.add(room)
            room = after
        return room
