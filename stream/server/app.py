"""The server's addresses: the page, offers, events, health and metrics."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import web

from core.errors import InputError
from stream.server.relay import Relay
from stream.server.rooms import FullError, Rooms

PAGE = Path(__file__).parent / "page"

OFFER_BYTES = 64 * 1024

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

HEARTBEAT_SECONDS = 10.0
SOCKET_BYTES = 16 * 1024


class Site:
    """Handlers of the requests. ``local``: the relay of the run on this machine, if there is one."""

    def __init__(self, rooms: Rooms, local: Relay | None) -> None:
        self._rooms, self._local = rooms, local

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._index),
            web.get("/overlay", self._overlay),
            web.get(r"/page/{name:[a-z]+\.(js|css)}", self._part),
            web.post("/offer", self._offer),
            web.delete("/rooms/{name}", self._leave),
            web.get("/events", self._events),
            web.get("/healthz", self._health),
        ]

    async def _index(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "index.html")

    async def _overlay(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "overlay.html")

    async def _part(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / request.match_info["name"])

    async def _offer(self, request: web.Request) -> web.Response:
        try:
            offer = json.loads(await request.text())
            if not (isinstance(offer, dict) and offer.get("type") == "offer" and isinstance(offer.get("sdp"), str)):
                raise InputError('send {"type":"offer","sdp":…}')
            name, sdp = await self._rooms.open(offer["sdp"])
        except (ValueError, RecursionError):
            return error(400, "the body is not JSON")
        except InputError as bad:
            return error(400, str(bad))
        except FullError:
            return error(503, "all rooms are taken; try again later", {"Retry-After": "10"})
        return web.json_response({"type": "answer", "sdp": sdp, "room": name})

    async def _leave(self, request: web.Request) -> web.Response:
        closing = self._rooms.close(request.match_info["name"])
        return web.json_response({}) if closing else error(404, "there is no such room")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        name = request.query.get("room")
        relay = (self._local or self._rooms.only()) if name is None else self._named(name)
        if relay is None:
            return error(404, "there is no such room; name one with ?room=ID")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=1024, writer_limit=SOCKET_BYTES)
        await socket.prepare(request)
        outbox = relay.listen()
        listening = asyncio.create_task(_ignored(socket))
        try:
            while lines := await outbox.take():
                for text in lines:
                    await socket.send_str(text)
        except ConnectionError:
            pass
        finally:
            relay.leave(outbox)
            listening.cancel()
            await socket.close()
        return socket

    def _named(self, name: str) -> Relay | None:
        return self._local if name == "local" else self._rooms.relay(name)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})


async def _ignored(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


def error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """One clear line."""
    return web.json_response({"error": message}, status=status, headers=headers)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
