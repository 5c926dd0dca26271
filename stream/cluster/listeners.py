"""WebSocket relay of a door (gateway): ``/events`` and ``/control`` listeners follow their room from host to host."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from speakerlight.cluster.room_records import RoomRecords
from speakerlight.cluster.routing import Host, HostTable
from speakerlight.server.data_channel import line
from speakerlight.server.guard import CLIENT_ADDRESS, error, no_room
from speakerlight.server.handlers import listener_socket, until_one_ends

FOLLOW_SECONDS = 15.0
"""How long a listener of a lost room waits until the room's page has opened another one."""

FOLLOW_POLL_SECONDS = 0.1

NAME_ONE = "; name one with ?room=ID"
MOVED = '{"type":"moved"'
"""Beginning of the line with which a host asks a page to move."""


@dataclass(eq=False)
class _Upstream:
    """A room's WebSocket at its host. ``room`` None: the only room. ``is_moving``: its page was asked to move."""

    host: Host
    room: str | None
    socket: aiohttp.ClientWebSocketResponse
    is_moving: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether its page continues at another host. A room that just ended has closed its sockets in order."""
        return self.is_moving or self.socket.close_code != aiohttp.WSCloseCode.OK


class Listeners:
    """Belongs to the door's loop."""

    def __init__(self, table: HostTable, records: RoomRecords, session: aiohttp.ClientSession) -> None:
        self._table, self._records, self._session = table, records, session

    async def relay(self, request: web.Request) -> web.StreamResponse:
        """Send a room's events, then those of the room that its page moves to, after a ``moved`` line with the new
        id."""
        joined = await self._join(request, None)
        if isinstance(joined, web.Response):
            return joined
        client = listener_socket()
        await client.prepare(request)
        while True:
            try:
                await until_one_ends(_send_events(joined, client), _send_commands(client, joined))
            finally:
                await joined.socket.close()
            followed = None if client.closed or not joined.is_lost else await self._follow(request, joined)
            if followed is None:
                await client.close()
                return client
            joined = followed
            with suppress(ConnectionError):
                await client.send_str(line("moved", room=joined.room))

    async def _join(self, request: web.Request, lost: _Upstream | None) -> _Upstream | web.Response:
        """Connect to the request's current room, unless it is the ``lost`` one; else a response with the reason."""
        asked = request.query.get("room")
        room = None if asked is None else self._records.newest(asked)
        host = self._table.of(room)
        if host is None or (lost is not None and host is lost.host and room == lost.room):
            return no_room(NAME_ONE)
        query = {} if room is None else {"room": room}
        headers = host.address.headers | {"X-Forwarded-For": str(request[CLIENT_ADDRESS])}
        try:
            socket = await self._session.ws_connect(host.address.url + request.path, params=query, headers=headers)
        except aiohttp.WSServerHandshakeError as refused:
            return error(refused.status, refused.message.lower())
        except (aiohttp.ClientError, OSError):
            return no_room(NAME_ONE)
        return _Upstream(host, room, socket)

    async def _follow(self, request: web.Request, lost: _Upstream) -> _Upstream | None:
        deadline = asyncio.get_running_loop().time() + FOLLOW_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(FOLLOW_POLL_SECONDS)
            joined = await self._join(request, lost)
            if isinstance(joined, _Upstream):
                return joined
        return None


async def _send_events(upstream: _Upstream, client: web.WebSocketResponse) -> None:
    with suppress(ConnectionError):
        async for message in upstream.socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            if message.data.startswith(MOVED):
                upstream.is_moving = True
            else:
                await client.send_str(message.data)


async def _send_commands(client: web.WebSocketResponse, upstream: _Upstream) -> None:
    with suppress(ConnectionError):
        async for message in client:
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            await upstream.socket.send_str(message.data)
