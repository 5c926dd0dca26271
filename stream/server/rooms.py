"""All rooms of a server: how many there may be, and that none outlives its browser."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from speakerlight.server.metrics import Metrics
from speakerlight.server.peer import Peer
from speakerlight.server.relay import Relay
from speakerlight.server.room import Engines, Room
from speakerlight.server.room_status import RoomStatus
from speakerlight.server.source import BrowserSource

MAX_ROOMS = 8

SILENT_SECONDS = 5.0
"""A browser from which neither media nor a report nor a message has come for this long has gone …"""

CONNECTING_SECONDS = 15.0
"""… unless it has never been there: finding a way to it takes some seconds on a busy machine."""

SWEEP_SECONDS = 1.0


class FullError(Exception):
    """There are as many rooms as there may be."""


@dataclass(frozen=True)
class Offer:
    """A browser's: its SDP, and the longer side of what its camera or screen gives, in pixels."""

    sdp: str
    long_side: int


@dataclass(eq=False)
class _Connected:
    peer: Peer
    room: Room
    closing: asyncio.Task[None] | None = None


class Rooms:
    """Belongs to the server's loop. ``local``: how this machine's own run stands, where that is a room as well."""

    def __init__(
        self, engines: Engines, metrics: Metrics, notify: Callable[[str], None], local: RoomStatus | None
    ) -> None:
        self._engines, self._metrics, self._notify, self._local = engines, metrics, notify, local
        self._rooms: dict[str, _Connected] = {}
        self._opening = 0
        self._loop = asyncio.get_running_loop()
        metrics.watch("rooms", "Rooms that there are", lambda: len(self._standings()))
        metrics.watch("faces", "People in view in all rooms", lambda: sum(each.faces for each in self._standings()))
        metrics.watch("load_level", "Work that is shed in the busiest room, 0 to 4", self._worst_level)
        self._sweeping = asyncio.create_task(self._sweep())

    async def open(self, offer: Offer) -> tuple[str, str]:
        """A room for the browser that offers this: its id and the answer's SDP. Raises InputError and FullError."""
        if len(self._rooms) + self._opening >= MAX_ROOMS:
            raise FullError
        self._opening += 1
        try:
            return await self._opened(secrets.token_urlsafe(12), offer)
        finally:
            self._opening -= 1

    def __len__(self) -> int:
        return len(self._rooms)

    def all(self) -> list[Room]:
        """The rooms that there are."""
        return [connected.room for connected in self._rooms.values()]

    def relay(self, name: str) -> Relay | None:
        """The relay of a room by its id; None where there is no such room."""
        return self._rooms[name].room.relay if name in self._rooms else None

    def only(self) -> Relay | None:
        """The relay of the only room there is."""
        return next(iter(self.all())).relay if len(self._rooms) == 1 else None

    def close(self, name: str) -> asyncio.Task[None] | None:
        """Begin to close a room, if there is one; the task ends when it has gone."""
        if (connected := self._rooms.get(name)) is None:
            return None
        if connected.closing is None:
            connected.closing = asyncio.create_task(self._close(name, connected))
        return connected.closing

    async def close_all(self) -> None:
        self._sweeping.cancel()
        await asyncio.gather(*filter(None, map(self.close, tuple(self._rooms))))

    async def _opened(self, name: str, offer: Offer) -> tuple[str, str]:
        def close() -> None:
            self.close(name)

        def message(text: str | bytes) -> list[str]:
            replies = room.messages.take(text)
            if room.messages.is_hopeless:
                close()
            return replies

        peer = Peer(connected=lambda: room.begin(), lost=close, message=message)
        try:
            source = BrowserSource(has_audio=await peer.offered(offer.sdp), long_side=offer.long_side)
            over = partial(self._loop.call_soon_threadsafe, close)
            relay = Relay(self._loop)
            room = Room(source, relay, self._engines, self._metrics, self._notify, over, self._worst_level())
            answer = await peer.answer(source, relay.listen())
        except BaseException:
            await peer.close()
            raise
        self._rooms[name] = _Connected(peer, room)
        self._metrics.opened.inc()
        return name, answer

    def _standings(self) -> list[RoomStatus]:
        own = [self._local] if self._local is not None else []
        return own + [room.standing for room in self.all()]

    def _worst_level(self) -> int:
        return max((each.load_level for each in self._standings()), default=0)

    async def _close(self, name: str, connected: _Connected) -> None:
        try:
            await asyncio.to_thread(connected.room.end)
            await connected.peer.close()
        finally:
            del self._rooms[name]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for name, connected in tuple(self._rooms.items()):
                patience = SILENT_SECONDS if connected.peer.was_heard else CONNECTING_SECONDS
                if connected.peer.silent_seconds > patience:
                    self.close(name)
