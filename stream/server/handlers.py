"""HTTP handlers of rooms: offers, events and commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from aiohttp import web

from speakerlight.core.errors import InputError
from speakerlight.server.data_channel import Messages, execute, parsed
from speakerlight.server.guard import CLIENT_ADDRESS, error, no_room
from speakerlight.server.handover import Handover
from speakerlight.server.offers import Offers
from speakerlight.server.relay import Outbox, Relay
from speakerlight.server.room import RoomHandle
from speakerlight.server.rooms import Offer, Rooms
from speakerlight.server.scaled_frames import LONG_SIDE
from speakerlight.server.serve_settings import ServeSettings

OFFER_BYTES = 64 * 1024

HEARTBEAT_SECONDS = 10.0
"""Interval of pings; a listener that does not answer within half of it is disconnected."""

SOCKET_BYTES = 16 * 1024
"""Bytes buffered in a socket, some 30 ticks; after that lines wait in the outbox, which drops the oldest."""

LISTENERS = 64
MESSAGE_BYTES = 1024


class HttpHandlers:
    """Handlers of requests about rooms. ``local``: this machine's own run, if there is one."""

    def __init__(self, rooms: Rooms, local: RoomHandle | None, settings: ServeSettings, offers: Offers) -> None:
        self._rooms, self._local, self._settings = rooms, local, settings
        self._offers = offers
        self._listeners = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/offer", self._offer),
            web.get("/rooms/{name}", self._exists),
            web.delete("/rooms/{name}", self._leave),
            web.get("/events", self._events),
            web.get("/control", self._control),
            web.post("/rooms/{name}/commands", self._command),
        ]

    async def _offer(self, request: web.Request) -> web.Response:
        async def opened() -> web.Response:
            name, sdp = await self._rooms.open(
                _offer(await request.read(), request, takes_handovers=self._rooms.is_host)
            )
            read_token = self._settings.tokens.for_links
            return web.json_response({"type": "answer", "sdp": sdp, "room": name, "read_token": read_token})

        return await self._offers.answer(request, opened)

    async def _exists(self, request: web.Request) -> web.Response:
        """Report whether a room exists. A page asks when its connection is silent."""
        name = request.match_info["name"]
        return web.json_response({"room": name}) if self.room(name) else no_room()

    async def _leave(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        failure = self._rooms.ice_failure(name)
        closing = self._rooms.close(name)
        return web.json_response({"ice": failure}) if closing else no_room()

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await self._listen(request, may_command=False)

    async def _control(self, request: web.Request) -> web.StreamResponse:
        return await self._listen(request, may_command=True)

    async def _listen(self, request: web.Request, *, may_command: bool) -> web.StreamResponse:
        room = self.room(request.query.get("room"))
        if room is None:
            return no_room("; name one with ?room=ID")
        if self._listeners >= LISTENERS:
            return error(503, "too many listeners; try again later", {"Retry-After": "10"})
        self._listeners += 1
        try:
            control = room.control
            messages = Messages(control if may_command else None, lambda: control.time)
            return await _relay_events(request, room.relay, messages)
        finally:
            self._listeners -= 1

    async def _command(self, request: web.Request) -> web.Response:
        room = self.room(request.match_info["name"])
        if room is None:
            return no_room()
        try:
            return web.json_response(text=execute(room.control, parsed(await request.text())))
        except (InputError, UnicodeDecodeError) as bad:
            return error(400, str(bad) if isinstance(bad, InputError) else "the body is not UTF-8")

    def room(self, name: str | None) -> RoomHandle | None:
        """A room by its name; None: this machine's own run, or else the only room, if there is exactly one."""
        if name is None:
            return self._local or self._rooms.only()
        return self._local if name == "local" else self._rooms.named(name)


def _offer(body: bytes, request: web.Request, *, takes_handovers: bool) -> Offer:
    try:
        offer = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("the body is not JSON") from None
    if not (isinstance(offer, dict) and offer.get("type") == "offer" and isinstance(offer.get("sdp"), str)):
        raise InputError('send {"type":"offer","sdp":…}')
    long_side = offer.get("long_side", LONG_SIDE)
    if not isinstance(long_side, int):
        raise InputError("long_side is a number of pixels")
    # Only doors can reach a host, and they remove this field from clients' offers.
    handover = Handover.from_json(offer["handover"]) if takes_handovers and "handover" in offer else None
    return Offer(offer["sdp"], long_side, request[CLIENT_ADDRESS], handover=handover)


async def _relay_events(request: web.Request, relay: Relay, messages: Messages) -> web.StreamResponse:
    """Send a room's events, and replies to ``messages``, until either side leaves."""
    socket = listener_socket()
    outbox = relay.subscribe()
    try:
        await socket.prepare(request)
        await until_one_ends(_send_lines(socket, outbox), _read(socket, messages))
        await socket.close()
    finally:
        relay.unsubscribe(outbox)
    return socket


def listener_socket() -> web.WebSocketResponse:
    """A socket for one listener."""
    return web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MESSAGE_BYTES, writer_limit=SOCKET_BYTES)


async def until_one_ends(*directions: Coroutine[Any, Any, None]) -> None:
    """Run the directions of a connection until either side leaves."""
    tasks = [asyncio.create_task(direction) for direction in directions]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _send_lines(socket: web.WebSocketResponse, outbox: Outbox) -> None:
    with suppress(ConnectionError):
        while lines := await outbox.take():
            for line in lines:
                await socket.send_str(line)


async def _read(socket: web.WebSocketResponse, messages: Messages) -> None:
    """Handle messages until the listener leaves, misses a ping, or sends too much or too many invalid messages."""
    with suppress(ConnectionError):
        async for received in socket:
            for reply in messages.take(received.data):
                await socket.send_str(reply)
            if messages.is_hopeless:
                return
