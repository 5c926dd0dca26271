"""WHIP and WHEP: encoders send to a room (RFC 9725), players receive its composed view, over plain HTTP."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from speakerlight.core.errors import InputError
from speakerlight.server.guard import CLIENT_ADDRESS, error, no_room
from speakerlight.server.ice_settings import IceServer, IceSettings
from speakerlight.server.offers import Offers
from speakerlight.server.room import RoomHandle
from speakerlight.server.rooms import Offer, Rooms, host_id
from speakerlight.server.rtc.trickle import IceRestartError
from speakerlight.server.scaled_frames import LONG_SIDE
from speakerlight.server.viewers import Viewers

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"

ROOM_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
LOCAL = "local"
"""The name of this machine's own run."""


class _Target(Protocol):
    """The WebRTC peer or viewer of a session."""

    async def trickle(self, fragment: str) -> None: ...


@dataclass(frozen=True)
class _Session:
    """``name``: of the room or the viewer."""

    name: str
    tag: str


class WhipHandlers:
    """Handlers of ``/whip`` and ``/whep``. ``room_of``: a room by its name; None: the only one."""

    def __init__(
        self,
        rooms: Rooms,
        viewers: Viewers,
        room_of: Callable[[str | None], RoomHandle | None],
        offers: Offers,
        ice: IceSettings,
        host: str | None = None,
    ) -> None:
        """``host``: prefix of the names of sessions, by which a door finds them."""
        self._host = host
        self._rooms, self._viewers, self._room_of, self._offers, self._ice = rooms, viewers, room_of, offers, ice
        self._sessions: dict[str, _Session] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.options("/{kind:whip|whep}", self._options),
            web.post("/whip", self._publish),
            web.post("/whep", self._watch),
            web.patch("/{kind:whip|whep}/{session}", self._trickle),
            web.delete("/{kind:whip|whep}/{session}", self._end),
        ]

    async def _options(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Accept-Post": SDP})

    async def _publish(self, request: web.Request) -> web.Response:
        name = request.query.get("room")

        async def opened() -> web.Response:
            if name is not None and (name == LOCAL or not ROOM_NAME.fullmatch(name)):
                raise InputError("a room's name has at most 64 letters, digits, - and _")
            offer = Offer(await _text(request), LONG_SIDE, request[CLIENT_ADDRESS], name)
            return self._created("whip", *await self._rooms.open(offer))

        return await self._answer(request, opened)

    async def _watch(self, request: web.Request) -> web.Response:
        room = self._room_of(request.query.get("room"))
        view = room.view if room is not None else None
        if view is None or not view.has_video:
            return no_room(" with video; name one with ?room=NAME")

        async def opened() -> web.Response:
            name, sdp = await self._viewers.open(view, await _text(request), request[CLIENT_ADDRESS])
            return self._created("whep", name, sdp)

        return await self._answer(request, opened)

    async def _answer(self, request: web.Request, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        if request.content_type != SDP:
            return error(415, f"send an offer as {SDP}", {"Accept-Post": SDP})
        return await self._offers.answer(request, work)

    def _created(self, kind: str, name: str, sdp: str) -> web.Response:
        self._sessions = {key: each for key, each in self._sessions.items() if self._target(each.name) is not None}
        key, tag = host_id(self._host, secrets.token_urlsafe(12)), f'"{secrets.token_urlsafe(6)}"'
        self._sessions[key] = _Session(name, tag)
        response = web.Response(status=201, text=sdp, content_type=SDP)
        response.headers.update({"Location": f"/{kind}/{key}", "ETag": tag, "Accept-Patch": FRAGMENT})
        for server in self._ice.servers_at(time.time()):
            response.headers.add("Link", _link(server))
        return response

    def _target(self, name: str) -> _Target | None:
        return self._rooms.peer(name) or self._viewers.get(name)

    async def _trickle(self, request: web.Request) -> web.Response:
        session = self._sessions.get(request.match_info["session"])
        if session is None or (target := self._target(session.name)) is None:
            return _no_session()
        if request.content_type != FRAGMENT:
            return error(415, f"send candidates as {FRAGMENT}", {"Accept-Patch": FRAGMENT})
        match = request.headers.get("If-Match")
        if match is None:
            return error(428, "send the session's ETag as If-Match")
        if match == "*":
            return error(422, "ICE restarts are not supported: send a new offer")
        if match != session.tag:
            return error(412, "the session has another ETag")
        try:
            await target.trickle(await _text(request))
        except IceRestartError as restart:
            return error(422, str(restart))
        except InputError as bad:
            return error(400, str(bad))
        return web.Response(status=204)

    async def _end(self, request: web.Request) -> web.Response:
        session = self._sessions.pop(request.match_info["session"], None)
        if session is None or self._target(session.name) is None:
            return _no_session()
        self._rooms.close(session.name)
        await self._viewers.close(session.name)
        return web.Response()


def _no_session() -> web.Response:
    return error(404, "there is no such session")


async def _text(request: web.Request) -> str:
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError:
        raise InputError("the body is not UTF-8 text") from None


def _link(server: IceServer) -> str:
    """The Link header of an ICE server (RFC 9725, section 4.6)."""
    link = f'<{server.url}>; rel="ice-server"'
    if server.username is not None and server.credential is not None:
        username, credential = _quoted(server.username), _quoted(server.credential)
        link += f'; username={username}; credential={credential}; credential-type="password"'
    return link


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
