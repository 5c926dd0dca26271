"""Door: a cluster's gateway and load balancer: one HTTP address that forwards offers, WHIP, WHEP and room requests.

It is stateless: a room's id names its host. Its copies of the rooms' handovers, polled from the hosts, only let pages
of a dead host keep their names, pins and people at another one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

import aiohttp
from aiohttp import web

from speakerlight.cluster.listeners import Listeners
from speakerlight.cluster.room_records import RoomRecords
from speakerlight.cluster.routing import Host, HostAddress, HostTable
from speakerlight.server.guard import CLIENT_ADDRESS, all_rooms_taken, error, no_room
from speakerlight.server.handlers import OFFER_BYTES
from speakerlight.server.http_server import HttpServer
from speakerlight.server.listening_socket import Listening
from speakerlight.server.metrics import Metrics
from speakerlight.server.rooms import HostStatus
from speakerlight.server.whip import ROOM_NAME, SDP

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Interval of host polls. A name typed less than this before its host dies is lost."""

STATUS_SECONDS = 2.0
"""Timeout of a host poll. A host that misses it gets no new rooms until it answers again."""

FORWARD_SECONDS = 12.0
"""Timeout of a forwarded request: a little more than a host allows for an offer."""

CONNECT_SECONDS = 2.0
"""Timeout of a TCP connection to a host."""

HANDOVER_SECONDS = 1.0
"""Timeout of fetching a room's handover from its old host. After it the door's copy is used."""

REQUEST_HEADERS = ("Content-Type", "If-Match")
RESPONSE_HEADERS = ("Retry-After", "Location", "ETag", "Accept-Patch", "Accept-Post", "Link")


class Door(HttpServer):
    """HTTP server that forwards to ``hosts()``, which may return other hosts at any time."""

    def __init__(
        self,
        listening: Listening,
        hosts: Callable[[], tuple[HostAddress, ...]],
        notify: Callable[[str], None],
    ) -> None:
        super().__init__(listening, notify)
        self._hosts = hosts

    @asynccontextmanager
    async def application(self) -> AsyncIterator[web.Application]:
        metrics, table, records = Metrics(), HostTable(), RoomRecords()
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)
        app = self.guarded_application(metrics, OFFER_BYTES)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            monitor = _HostMonitor(table, records, session, self._hosts, self._notify)
            await monitor.poll()
            monitoring = asyncio.create_task(monitor.run())
            _add_gauges(table, metrics)
            read_token = self._listening.settings.tokens.for_links
            app.add_routes(_Forwarding(table, records, session, read_token).routes())
            try:
                yield app
            finally:
                monitoring.cancel()


class _HostMonitor:
    """Polls the hosts: keeps their status in ``table``, and the handovers of their rooms in ``records``."""

    def __init__(
        self,
        table: HostTable,
        records: RoomRecords,
        session: aiohttp.ClientSession,
        hosts: Callable[[], Iterable[HostAddress]],
        notify: Callable[[str], None],
    ) -> None:
        self._table, self._records, self._session = table, records, session
        self._hosts, self._notify = hosts, notify

    async def run(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.poll()

    async def poll(self) -> None:
        self._table.update(tuple(self._hosts()))
        await asyncio.gather(*map(self._poll_host, self._table.all()))

    async def _poll_host(self, host: Host) -> None:
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                status = await self._json(host, "GET", "/host")
                host.status = HostStatus(**status | {"named": tuple(status["named"])})
                if host.status.rooms:
                    tags = self._records.tags(host.address.name)
                    handovers = await self._json(host, "POST", "/host/handovers", json=tags)
                    self._records.update(host.address.name, handovers, asyncio.get_running_loop().time())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError, KeyError) as failure:
            if host.status is not None:
                self._notify(f"host {host.address.name} does not answer ({type(failure).__name__})")
            host.status = None

    async def _json(self, host: Host, method: str, path: str, **body: Any) -> Any:
        url, headers = host.address.url + path, host.address.headers
        async with self._session.request(method, url, headers=headers, **body) as response:
            return await response.json()


class _Forwarding:
    """HTTP handlers of requests about rooms. ``read_token``: the token that pages put into links."""

    def __init__(
        self, table: HostTable, records: RoomRecords, session: aiohttp.ClientSession, read_token: str | None
    ) -> None:
        self._table, self._records, self._session, self._read_token = table, records, session, read_token
        self._listeners = Listeners(table, records, session)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/offer", self._offer),
            web.get("/rooms/{id}", self._by_path),
            web.delete("/rooms/{id}", self._by_path),
            web.post("/rooms/{id}/commands", self._command),
            web.get("/events", self._listeners.relay),
            web.get("/control", self._listeners.relay),
            web.post("/whip", self._whip),
            web.post("/whep", self._whep),
            web.options("/{kind:whip|whep}", self._options),
            web.patch("/{kind:whip|whep}/{id}", self._by_path),
            web.delete("/{kind:whip|whep}/{id}", self._by_path),
            web.get("/hosts", self._list),
            web.post("/hosts/{host}/drain", self._drain),
        ]

    async def _offer(self, request: web.Request) -> web.Response:
        body, old_room = await self._with_handover(await request.read())
        answer = await self._to_emptiest(request, body)
        if answer.status != 200 or not isinstance(answer.body, bytes):
            return answer
        content = json.loads(answer.body)
        if old_room is not None:
            self._records.moved(old_room, content["room"])
        return web.json_response(content | {"read_token": self._read_token})

    async def _with_handover(self, body: bytes) -> tuple[bytes, str | None]:
        """Replace an offer's ``room``, the one its page had before, by that room's handover. Also returns that room;
        None where there was none or nothing is known of it."""
        try:
            offer = json.loads(body)
        except (ValueError, RecursionError):
            return body, None  # the host's refusal says what is wrong
        if not isinstance(offer, dict):
            return body, None
        offer.pop("handover", None)
        room = offer.pop("room", None)
        if not isinstance(room, str) or not ROOM_NAME.fullmatch(room):
            return json.dumps(offer).encode(), None
        if (handover := await self._handover(room)) is not None:
            offer["handover"] = handover
        return json.dumps(offer).encode(), room if handover is not None else None

    async def _handover(self, room: str) -> Mapping[str, Any] | None:
        """The room's handover from its host, or else the door's copy; None where there is neither."""
        if (host := self._table.of(room)) is not None and host.status is not None:
            url = f"{host.address.url}/rooms/{room}/handover"
            with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                async with (
                    asyncio.timeout(HANDOVER_SECONDS),
                    self._session.get(url, headers=host.address.headers) as answer,
                ):
                    if answer.status == 200:
                        handover: dict[str, Any] = await answer.json()
                        return handover
        return self._records.handover(room)

    async def _whip(self, request: web.Request) -> web.Response:
        name = request.query.get("room")
        host = self._table.of(name) if name is not None else None
        return await self._to_emptiest(request, name=name) if host is None else await self._to(host, request)

    async def _to_emptiest(
        self, request: web.Request, body: bytes | None = None, name: str | None = None
    ) -> web.Response:
        """Forward an offer to the host with the most free places, and to the next one where that refuses or is dead.

        ``name``: of the room, where its sender chose one."""
        tried: set[str] = set()
        while True:
            with self._table.emptiest(tried) as host:
                if host is None:
                    return all_rooms_taken()
                answer = await self._to(host, request, body=body)
                if answer.status < 300:
                    self._table.opened(host, name)
            if answer.status not in (502, 503):
                return answer

    async def _whep(self, request: web.Request) -> web.Response:
        room = self._newest(request.query.get("room"))
        host = self._table.of(room)
        if host is None:
            return no_room("; name one with ?room=NAME")
        return await self._to(host, request, query={} if room is None else {"room": room})

    def _newest(self, room: str | None) -> str | None:
        """The current id of a room whose page may have moved since the link to it was made."""
        return None if room is None else self._records.newest(room)

    async def _options(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Accept-Post": SDP})

    async def _by_path(self, request: web.Request) -> web.Response:
        return await self._about(request.match_info["id"], request, request.path)

    async def _command(self, request: web.Request) -> web.Response:
        room = self._records.newest(request.match_info["id"])
        return await self._about(room, request, f"/rooms/{room}/commands")

    async def _about(self, identifier: str, request: web.Request, path: str) -> web.Response:
        host = self._table.of(identifier)
        answer = await self._to(host, request, path) if host is not None else None
        if answer is None or answer.status == 502:  # the host is dead, and the room with it
            return no_room()
        return answer

    async def _to(
        self,
        host: Host,
        request: web.Request,
        path: str | None = None,
        *,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Forward a request to a host and return its answer; 502 where it does not answer."""
        headers = {name: request.headers[name] for name in REQUEST_HEADERS if name in request.headers}
        headers |= host.address.headers | {"X-Forwarded-For": str(request[CLIENT_ADDRESS])}
        if query is None:
            query = {name: value for name, value in request.query.items() if name != "token"}
        body = await request.read() if body is None else body
        try:
            async with (
                asyncio.timeout(FORWARD_SECONDS),
                self._session.request(
                    request.method, host.address.url + (path or request.path), params=query, headers=headers, data=body
                ) as answer,
            ):
                response = web.Response(status=answer.status, body=await answer.read())
                if "Content-Type" in answer.headers:
                    response.headers["Content-Type"] = answer.headers["Content-Type"]
                for name in RESPONSE_HEADERS:
                    for value in answer.headers.getall(name, []):
                        response.headers.add(name, value)
                return response
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            logger.info("host %s: %s", host.address.name, failure)
            if isinstance(failure, aiohttp.ClientConnectorError):
                host.status = None
            return error(502, "the host of this room does not answer")

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(status) for status in self._table.answering()])

    async def _drain(self, request: web.Request) -> web.Response:
        host = self._table.named(request.match_info["host"])
        if host is None:
            names = ", ".join(each.address.name for each in self._table.all()) or "none"
            return error(404, f"there is no such host; there are: {names}")
        return await self._to(host, request, "/host/drain")


def _add_gauges(table: HostTable, metrics: Metrics) -> None:
    metrics.gauge("hosts", "Hosts that answer", lambda: len(table.answering()))
    metrics.gauge("rooms", "Open rooms", lambda: sum(each.rooms for each in table.answering()))
    metrics.gauge("capacity", "Maximum number of rooms", lambda: sum(each.capacity for each in table.answering()))
