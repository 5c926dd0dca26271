"""Door: the one address of many hosts. It keeps no state: a room's id names its host; media goes to the host itself."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict

import aiohttp
from aiohttp import web

from speakerlight.cluster.routing import Host, HostAddress, HostTable
from speakerlight.server.guard import CLIENT_ADDRESS, all_rooms_taken, error, no_room
from speakerlight.server.handlers import OFFER_BYTES, listener_socket, until_one_ends
from speakerlight.server.http_server import HttpServer
from speakerlight.server.listener import Listening
from speakerlight.server.metrics import Metrics
from speakerlight.server.rooms import HostStatus
from speakerlight.server.whip import ROOM_NAME, SDP

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Between two looks at the hosts."""

STATUS_SECONDS = 2.0
"""A host that takes longer gets no new rooms until it answers again."""

FORWARD_SECONDS = 12.0
"""A little more than a host gives an offer."""

CONNECT_SECONDS = 2.0

HANDOVER_SECONDS = 1.0
"""A room whose old host takes longer begins without names."""

REQUEST_HEADERS = ("Content-Type", "If-Match")
RESPONSE_HEADERS = ("Retry-After", "Location", "ETag", "Accept-Patch", "Accept-Post", "Link")


class Door(HttpServer):
    """Forwards to ``hosts``, which may change at any time, with the ``secret`` that they ask for."""

    def __init__(
        self,
        listening: Listening,
        hosts: Callable[[], tuple[HostAddress, ...]],
        secret: str,
        notify: Callable[[str], None],
    ) -> None:
        super().__init__(listening, notify)
        self._hosts, self._secret = hosts, secret

    @asynccontextmanager
    async def application(self) -> AsyncIterator[web.Application]:
        metrics, table = Metrics(), HostTable()
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)
        headers = {"Authorization": f"Bearer {self._secret}"}
        app = self.guarded_application(metrics, OFFER_BYTES)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            watch = _Watch(table, session, self._hosts, self._notify)
            await watch.look()
            looking = asyncio.create_task(watch.run())
            _publish(table, metrics)
            app.add_routes(_Forwarding(table, session, self._listening.settings.tokens.for_links).routes())
            try:
                yield app
            finally:
                looking.cancel()


class _Watch:
    """Keeps the table of hosts up to date."""

    def __init__(
        self,
        table: HostTable,
        session: aiohttp.ClientSession,
        hosts: Callable[[], Iterable[HostAddress]],
        notify: Callable[[str], None],
    ) -> None:
        self._table, self._session, self._hosts, self._notify = table, session, hosts, notify

    async def run(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.look()

    async def look(self) -> None:
        self._table.update(tuple(self._hosts()))
        await asyncio.gather(*map(self._ask, self._table.all()))

    async def _ask(self, host: Host) -> None:
        try:
            async with asyncio.timeout(STATUS_SECONDS), self._session.get(f"{host.address.url}/host") as response:
                given = await response.json()
            host.status = HostStatus(**given | {"named": tuple(given["named"])})
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError, KeyError) as failure:
            if host.status is not None:
                self._notify(f"host {host.address.name} does not answer ({type(failure).__name__})")
            host.status = None


class _Forwarding:
    """Handlers of requests about rooms. ``read_token``: what pages put into links."""

    def __init__(self, table: HostTable, session: aiohttp.ClientSession, read_token: str | None) -> None:
        self._table, self._session, self._read_token = table, session, read_token

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/offer", self._offer),
            web.get("/rooms/{id}", self._by_path),
            web.delete("/rooms/{id}", self._by_path),
            web.post("/rooms/{id}/commands", self._by_path),
            web.get("/events", self._listen),
            web.get("/control", self._listen),
            web.post("/whip", self._publish),
            web.post("/whep", self._watch),
            web.options("/{kind:whip|whep}", self._options),
            web.patch("/{kind:whip|whep}/{id}", self._by_path),
            web.delete("/{kind:whip|whep}/{id}", self._by_path),
            web.get("/hosts", self._list),
            web.post("/hosts/{host}/drain", self._drain),
        ]

    async def _offer(self, request: web.Request) -> web.Response:
        answer = await self._to_emptiest(request, await self._with_handover(await request.read()))
        if answer.status != 200 or not isinstance(answer.body, bytes):
            return answer
        return web.json_response(json.loads(answer.body) | {"read_token": self._read_token})

    async def _with_handover(self, body: bytes) -> bytes:
        """An offer whose ``room`` is the client's room at another host, with what that hands over."""
        try:
            offer = json.loads(body)
        except (ValueError, RecursionError):
            return body  # a host says what is wrong with it
        if not isinstance(offer, dict):
            return body
        offer.pop("handover", None)
        room = offer.pop("room", None)
        host = self._table.of(room) if isinstance(room, str) and ROOM_NAME.fullmatch(room) else None
        if host is not None:
            with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                async with (
                    asyncio.timeout(HANDOVER_SECONDS),
                    self._session.get(f"{host.address.url}/rooms/{room}/handover") as answer,
                ):
                    if answer.status == 200:
                        offer["handover"] = await answer.json()
        return json.dumps(offer).encode()

    async def _publish(self, request: web.Request) -> web.Response:
        name = request.query.get("room")
        host = self._table.of(name) if name is not None else None
        return await self._to_emptiest(request) if host is None else await self._to(host, request)

    async def _to_emptiest(self, request: web.Request, body: bytes | None = None) -> web.Response:
        """The answer of the host with most places left, or of the next one where that refuses or has gone."""
        tried: set[str] = set()
        while True:
            with self._table.emptiest(tried) as host:
                if host is None:
                    return all_rooms_taken()
                answer = await self._to(host, request, body=body)
                if answer.status < 300:
                    self._table.opened(host)
            if answer.status not in (502, 503):
                return answer

    async def _watch(self, request: web.Request) -> web.Response:
        host = self._table.of(request.query.get("room"))
        return await self._to(host, request) if host else no_room("; name one with ?room=NAME")

    async def _options(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Accept-Post": SDP})

    async def _by_path(self, request: web.Request) -> web.Response:
        host = self._table.of(request.match_info["id"])
        answer = await self._to(host, request) if host is not None else None
        if answer is None or answer.status == 502:  # the room went with its host
            return no_room()
        return answer

    async def _to(
        self, host: Host, request: web.Request, path: str | None = None, body: bytes | None = None
    ) -> web.Response:
        """The host's answer to a request; 502 where it gives none."""
        kept = {name: request.headers[name] for name in REQUEST_HEADERS if name in request.headers}
        kept["X-Forwarded-For"] = str(request[CLIENT_ADDRESS])
        query = {name: value for name, value in request.query.items() if name != "token"}
        body = await request.read() if body is None else body
        try:
            async with (
                asyncio.timeout(FORWARD_SECONDS),
                self._session.request(
                    request.method, host.address.url + (path or request.path), params=query, headers=kept, data=body
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

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        room = request.query.get("room")
        if (host := self._table.of(room)) is None:
            return no_room("; name one with ?room=ID")
        query = {} if room is None else {"room": room}
        forwarded = {"X-Forwarded-For": str(request[CLIENT_ADDRESS])}
        try:
            upstream = await self._session.ws_connect(host.address.url + request.path, params=query, headers=forwarded)
        except aiohttp.WSServerHandshakeError as refused:
            return error(refused.status, refused.message.lower())
        except (aiohttp.ClientError, OSError):
            return no_room("; name one with ?room=ID")
        client = listener_socket()
        try:
            await client.prepare(request)
            await until_one_ends(_pump(upstream, client), _pump(client, upstream))
            await client.close()
        finally:
            await upstream.close()
        return client

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(status) for status in self._table.answering()])

    async def _drain(self, request: web.Request) -> web.Response:
        host = self._table.named(request.match_info["host"])
        if host is None:
            names = ", ".join(each.address.name for each in self._table.all()) or "none"
            return error(404, f"there is no such host; there are: {names}")
        return await self._to(host, request, "/host/drain")


async def _pump(
    source: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
    sink: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
) -> None:
    with suppress(ConnectionError):
        async for message in source:
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            await sink.send_str(message.data)


def _publish(table: HostTable, metrics: Metrics) -> None:
    metrics.gauge("hosts", "Hosts that answer", lambda: len(table.answering()))
    metrics.gauge("rooms", "Open rooms", lambda: sum(each.rooms for each in table.answering()))
    metrics.gauge("capacity", "Maximum number of rooms", lambda: sum(each.capacity for each in table.answering()))
