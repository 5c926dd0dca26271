"""All rooms of a server: limits in total and per client, closing of idle and abandoned rooms, draining.

``Rooms.drain`` moves the rooms of a host to others: each page is sent away, and what has not left in time is closed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from speakerlight.core.framing import View
from speakerlight.server.browser_source import BrowserSource
from speakerlight.server.client_address import IpAddress, client_key
from speakerlight.server.data_channel import Messages
from speakerlight.server.handover import Handover
from speakerlight.server.metrics import Metrics
from speakerlight.server.rate_limit import RateLimiter
from speakerlight.server.relay import Relay
from speakerlight.server.room import Engines, Room, RoomHandle
from speakerlight.server.room_status import RoomStatus
from speakerlight.server.rtc.peer import Peer
from speakerlight.server.serve_settings import ServeSettings
from speakerlight.threads import call_in_loop

logger = logging.getLogger(__name__)

CLIENT_ROOMS = 6
"""Maximum number of rooms of one client. Clients on this machine itself have no such limit."""

CLIENT_CONNECTING = 4
"""Maximum number of rooms of one client that are still connecting. Another offer waits …"""

CONNECTING_WAIT_SECONDS = 3.0
"""… this long for one of them to connect: the pages of one office start together."""

CONNECTING_POLL_SECONDS = 0.05

SILENT_SECONDS = 5.0
"""A room is closed when no media, report or message has come from its client for this long …"""

CONNECTING_SECONDS = 15.0
"""… unless it was never connected: ICE takes some seconds on a busy machine."""

SWEEP_SECONDS = 1.0

HOST_END = "-"
"""Separator after the host's name in an id."""

MOVE_SECONDS = 0.05
"""Interval between the rooms that a draining host moves, so that their pages do not all make an offer at once."""

MOVED_SECONDS = 5.0
"""A room whose client has not left by then is closed: its client is an encoder, which reconnects by itself."""

PARTED_SECONDS = 5.0
"""How long a host that is drained and empty still answers: a page that is moving fetches its room's handover here."""

DRAIN_POLL_SECONDS = 0.1

ICE_REPORT_SECONDS = 5.0
"""Minimum age for a report about a room that never connected: users give up sooner by themselves."""

MAX_ICE_REPORTS = 6
"""Limit of log lines (burst, and per minute) about rooms that could not be connected."""


class FullError(Exception):
    """The maximum number of rooms is open."""


class DrainingError(Exception):
    """This host is draining and opens no new rooms."""


class NameTakenError(Exception):
    """A room of this name is already open."""


class ClientLimitError(Exception):
    """A client has reached its limit of rooms; the message names which limit."""


def host_id(host: str | None, random: str) -> str:
    """Id of a room or a session; in a cluster it begins with the host's name."""
    return random if host is None else f"{host}{HOST_END}{random}"


@dataclass(frozen=True)
class HostStatus:
    """Status of a host for its doors. ``rooms``: open or being opened. ``named``: rooms whose senders chose the name.

    ``latency_ms``: 95th percentile from capture to event in the slowest room, since that began; None without one.
    """

    name: str
    rooms: int
    capacity: int
    is_draining: bool
    named: tuple[str, ...]
    latency_ms: float | None


@dataclass(frozen=True)
class Offer:
    """One client's offer.

    ``long_side``: of what its camera or screen gives, in pixels. ``address``: where its requests come from. ``name``:
    of the room; None: a random one. ``handover``: of a room that moves here from another host.
    """

    sdp: str
    long_side: int
    address: IpAddress | None
    name: str | None = None
    handover: Handover | None = None

    @property
    def client(self) -> str:
        """Key of per-client limits."""
        return client_key(self.address)

    @property
    def is_local(self) -> bool:
        """Whether it comes from this machine."""
        return self.address is not None and self.address.is_loopback


@dataclass(eq=False)
class _Connected:
    peer: Peer
    room: Room
    client: str
    closing: asyncio.Task[None] | None = None


class Rooms:
    """Belongs to the server's loop. ``local``: the status of this machine's own run, where that is a room as well.

    ``host``: begins the ids of rooms, so that a door finds them. ``drained``: called once draining has emptied it.
    """

    def __init__(
        self,
        engines: Engines,
        metrics: Metrics,
        notify: Callable[[str], None],
        local: RoomStatus | None,
        settings: ServeSettings,
        view: View = View.BOXES,
        host: str | None = None,
        drained: Callable[[], object] = lambda: None,
    ) -> None:
        self._host, self._is_draining, self._drained = host, False, drained
        self._parted: dict[str, Handover] = {}
        self._engines, self._metrics, self._notify, self._local = engines, metrics, notify, local
        self._ice, self._capacity, self._view = settings.ice, settings.rooms, view
        self._ice_reports = RateLimiter(MAX_ICE_REPORTS, MAX_ICE_REPORTS / 60)
        self._rooms: dict[str, _Connected] = {}
        self._opening: Counter[str] = Counter()
        self._names_opening: set[str] = set()
        self._loop = asyncio.get_running_loop()
        metrics.gauge("rooms", "Open rooms", lambda: len(self._statuses()))
        metrics.gauge("faces", "People in view in all rooms", lambda: sum(each.faces for each in self._statuses()))
        metrics.gauge("load_level", "Load-shedding level of the busiest room, 0 to 4", self._worst_level)
        self._sweeping = asyncio.create_task(self._sweep())

    async def open(self, offer: Offer) -> tuple[str, str]:
        """Open a room: its id and the answer's SDP.

        Raises InputError, FullError, NameTakenError, ClientLimitError and PortsTakenError.
        """
        self._check_capacity()  # before any await, so that a refusal is immediate
        await self._wait_for_connecting(offer.client)
        self._check_capacity()
        if not offer.is_local and self._count(offer.client) >= CLIENT_ROOMS:
            raise ClientLimitError(f"one client may have {CLIENT_ROOMS} rooms; close one first")
        name = offer.name or host_id(self._host, secrets.token_urlsafe(12))
        if name in self._rooms or name in self._names_opening:
            raise NameTakenError
        self._opening[offer.client] += 1
        self._names_opening.add(name)
        try:
            return name, await self._opened(name, offer)
        finally:
            self._names_opening.discard(name)
            self._opening[offer.client] -= 1
            self._opening += Counter()  # forgets clients without rooms

    def _check_capacity(self) -> None:
        if self._is_draining:
            raise DrainingError
        if len(self._rooms) + self._opening.total() >= self._capacity:
            raise FullError

    def status(self, host: str) -> HostStatus:
        """The status of every room, and of this machine's own run."""
        latencies = [room.latency_ms for room in self.all()]
        return HostStatus(
            host,
            len(self._rooms) + self._opening.total(),
            self._capacity,
            self._is_draining,
            tuple(name for name in self._rooms if not name.startswith(f"{host}{HOST_END}")),
            max((each for each in latencies if each is not None), default=None),
        )

    @property
    def is_host(self) -> bool:
        """Whether this server is a host behind doors."""
        return self._host is not None

    def handover(self, name: str) -> Handover | None:
        """The state of a room, also of one whose page has left since draining began; None: there is none."""
        if (connected := self._rooms.get(name)) is not None and connected.closing is None:
            return connected.room.handover()
        return self._parted.get(name)

    def handovers(self) -> dict[str, Handover]:
        """The state of each room that is open."""
        return {name: each.room.handover() for name, each in self._rooms.items() if each.closing is None}

    def drain(self) -> None:
        """Open no new rooms, and tell the pages of the open ones to move."""
        if not self._is_draining:
            self._is_draining = True
            self._moving = asyncio.create_task(self._move_all())

    def __len__(self) -> int:
        return len(self._rooms)

    def all(self) -> list[Room]:
        """The open rooms."""
        return [connected.room for connected in self._rooms.values()]

    def named(self, name: str) -> RoomHandle | None:
        """A room by its id; None where there is no such room."""
        return self._rooms[name].room.handle if name in self._rooms else None

    def only(self) -> RoomHandle | None:
        """The room, when exactly one is open."""
        return next(iter(self.all())).handle if len(self._rooms) == 1 else None

    def peer(self, name: str) -> Peer | None:
        """The WebRTC peer of a room, by the room's name."""
        return self._rooms[name].peer if name in self._rooms else None

    def close(self, name: str) -> asyncio.Task[None] | None:
        """Begin to close a room, if it is open; the task ends when the room has ended."""
        if (connected := self._rooms.get(name)) is None:
            return None
        if connected.closing is None:
            if self._is_draining:
                self._parted[name] = connected.room.handover()
            connected.closing = asyncio.create_task(self._close(name, connected))
        return connected.closing

    async def close_all(self) -> None:
        self._sweeping.cancel()
        await asyncio.gather(*filter(None, map(self.close, tuple(self._rooms))))

    def ice_failure(self, name: str) -> str | None:
        """Why a room never connected, as text for people; None for a room that did, or that does not exist."""
        if (connected := self._rooms.get(name)) is None or connected.peer.was_connected:
            return None
        report = connected.peer.ice_report
        return report.describe(self._ice) if report is not None else None

    def _count(self, client: str) -> int:
        return self._opening[client] + sum(each.client == client for each in self._rooms.values())

    def _connecting(self, client: str) -> int:
        rooms = (each for each in self._rooms.values() if each.client == client)
        return self._opening[client] + sum(not each.peer.was_connected for each in rooms)

    async def _wait_for_connecting(self, client: str) -> None:
        try:
            async with asyncio.timeout(CONNECTING_WAIT_SECONDS):
                while self._connecting(client) >= CLIENT_CONNECTING:
                    await asyncio.sleep(CONNECTING_POLL_SECONDS)
        except TimeoutError:
            raise ClientLimitError(f"{CLIENT_CONNECTING} rooms of this client are still connecting") from None

    async def _opened(self, name: str, offer: Offer) -> str:
        def close() -> None:
            self.close(name)

        def message(text: str | bytes) -> list[str]:
            replies = messages.take(text)
            if messages.is_hopeless:
                close()
            return replies

        peer = Peer(
            f"room {name}", self._ice, offer.address, connected=lambda: room.begin(), lost=close, message=message
        )
        try:
            source = BrowserSource(has_audio=await peer.offered(offer.sdp), long_side=offer.long_side)
            over = partial(call_in_loop, self._loop, close)
            relay = Relay(self._loop)
            room = Room(
                source,
                relay,
                self._engines,
                self._metrics,
                self._notify,
                over,
                first_level=self._worst_level(),
                view=self._view,
                handover=offer.handover,
            )
            messages = Messages(room.control, lambda: source.now)
            answer = await peer.answer(source, relay.subscribe())
            room.restore_control()
        except BaseException:
            await peer.close()
            raise
        self._rooms[name] = _Connected(peer, room, offer.client)
        self._metrics.opened.inc()
        logger.info("room %s is opened for client %s", name, offer.client)
        return answer

    def _statuses(self) -> list[RoomStatus]:
        own = [self._local] if self._local is not None else []
        return own + [room.status for room in self.all()]

    def _worst_level(self) -> int:
        return max((each.load_level for each in self._statuses()), default=0)

    async def _close(self, name: str, connected: _Connected) -> None:
        failure = self.ice_failure(name)
        if failure and connected.peer.age_seconds > ICE_REPORT_SECONDS and self._ice_reports.take(self._loop.time()):
            self._notify(f"room of client {connected.client}: {failure}")
        try:
            await asyncio.to_thread(connected.room.end)
            await connected.peer.close()
        finally:
            del self._rooms[name]
            logger.info("room %s is closed", name)

    async def _move_all(self) -> None:
        for room in self.all():
            room.move()
            await asyncio.sleep(MOVE_SECONDS)
        deadline = self._loop.time() + MOVED_SECONDS
        while self._rooms or self._opening:
            await asyncio.sleep(DRAIN_POLL_SECONDS)
            for name in tuple(self._rooms) if self._loop.time() > deadline else ():
                self.close(name)
        await asyncio.sleep(PARTED_SECONDS)
        self._drained()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for name, connected in tuple(self._rooms.items()):
                patience = SILENT_SECONDS if connected.peer.has_received else CONNECTING_SECONDS
                if connected.peer.silent_seconds > patience:
                    self.close(name)
