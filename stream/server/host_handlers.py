"""HTTP handlers of a host that only its doors may call: status, draining, handovers of rooms."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict

from aiohttp import web

from speakerlight.server.guard import error, no_room
from speakerlight.server.rooms import Rooms

HANDOVER_BYTES = 4 << 20
"""Maximum number of bytes that a door adds to an offer."""


class HostHandlers:
    """Handlers in addition to those of rooms. ``host``: the host's name."""

    def __init__(self, host: str, rooms: Rooms) -> None:
        self._host, self._rooms = host, rooms

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/host", self._status),
            web.post("/host/drain", self._drain),
            web.get("/rooms/{name}/handover", self._handover),
            web.post("/host/handovers", self._handovers),
        ]

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(asdict(self._rooms.status(self._host)))

    async def _handover(self, request: web.Request) -> web.Response:
        found = self._rooms.handover(request.match_info["name"])
        return web.json_response(found.to_json()) if found is not None else no_room()

    async def _handovers(self, request: web.Request) -> web.Response:
        """Tag and handover of each room; null where its tag is that of the request's body."""
        known = await request.json()
        if not isinstance(known, dict):
            return error(400, "send the tags of the rooms that are known")
        reported: dict[str, object] = {}
        for name, handover in self._rooms.handovers().items():
            content = handover.to_json()
            tag = zlib.crc32(json.dumps(content).encode())
            reported[name] = None if known.get(name) == tag else {"tag": tag, "handover": content}
        return web.json_response(reported)

    async def _drain(self, request: web.Request) -> web.Response:
        self._rooms.drain()
        return web.Response(status=202)
