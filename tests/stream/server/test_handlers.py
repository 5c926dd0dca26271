"""What the server answers over HTTP, and to whom."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import aiohttp
import jsonschema  # type: ignore[import-untyped]
import pytest

from speakerlight.core.events import LoadEvent, ScoresEvent, SpeakerEvent
from speakerlight.core.geometry import Box
from speakerlight.core.snapshot import FaceScore, SpeakingState
from speakerlight.server import http_server, offers
from speakerlight.server.client_address import parse_network
from speakerlight.server.guard import BURST_FAILURES
from speakerlight.server.handlers import OFFER_BYTES
from speakerlight.server.server import Server
from tests.stream.server.browser import Browser, metric
from tests.stream.server.certificate import certificate
from tests.stream.server.conftest import Serve

TOKEN = "correct horse battery"
READ_TOKEN = "staple for reading"


def talk(server: Server, work: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
    async def play() -> None:
        async with asyncio.timeout(20.0), aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            await work(session)

    asyncio.run(play())


async def refused(response: aiohttp.ClientResponse, status: int) -> str:
    """The one line of an error."""
    assert response.status == status, await response.text()
    body = await response.json()
    assert list(body) == ["error"] and "\n" not in body["error"] and "Traceback" not in body["error"]
    return str(body["error"])


def test_the_page_and_its_parts_come_with_a_strict_policy(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        for path, kind in (("/", "text/html"), ("/overlay", "text/html"), ("/page/app.js", "javascript")):
            response = await session.get(path)
            assert response.status == 200 and kind in response.headers["Content-Type"]
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Referrer-Policy"] == "no-referrer"
        assert await (await session.get("/healthz")).json() == {"status": "ok"}
        assert "speakerlight_rooms 0.0" in await (await session.get("/metrics")).text()

    talk(serve(), work)


def test_nothing_but_the_page_is_given_out(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        for path in (
            "/page/none.js",
            "/page/..%2Frooms.py",
            "/page/../rooms.py",
            "/page/",
            "/nowhere",
            "/page/app.js/x",
        ):
            await refused(await session.get(path), 404)
        await refused(await session.put("/offer"), 405)
        assert await metric(f"http://127.0.0.1:{server.port}", 'rejected_requests_total{status="405"}') == 1

    server = serve()
    talk(server, work)


@pytest.mark.parametrize("path", ["/", "/overlay", "/metrics", "/events", "/offer", "/nowhere"])
def test_without_the_token_there_is_one_answer(serve: Serve, lines: list[str], path: str) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer ä"}):
            for method in (session.get, session.post):
                response = await method(path, headers=given)
                assert response.status == 401 and await response.text() == "unauthorized"
        response = await session.get(path, params={"token": TOKEN + "x"})
        assert response.status == 401
        assert (await session.get("/healthz")).status == 200

    talk(serve(token=TOKEN), work)
    assert not any(TOKEN in line for line in lines)


def test_the_token_opens_in_the_header_and_in_the_address(serve: Serve) -> None:
    server = serve(token=TOKEN)

    async def work(session: aiohttp.ClientSession) -> None:
        assert (await session.get("/", params={"token": TOKEN})).status == 200
        assert (await session.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).status == 200
        async with Browser(server.port, token=TOKEN) as browser:
            await browser.scored(1)

    talk(server, work)
    assert TOKEN not in repr(server._listening)


def test_wrong_tokens_are_counted_and_lock_out_their_own_client_alone(serve: Serve) -> None:
    proxy = (parse_network("127.0.0.1"),)

    async def work(session: aiohttp.ClientSession) -> None:
        async def asked(client: str, token: str | None) -> int:
            headers = {"X-Forwarded-For": client} | ({"Authorization": f"Bearer {token}"} if token else {})
            return (await session.get("/metrics", headers=headers)).status

        assert [await asked("192.0.2.1", None) for _ in range(20)] == [401] * 20, "no token is no guess"
        guesses = [await asked("192.0.2.1", f"guess {number}") for number in range(15)]
        assert guesses == [401] * BURST_FAILURES + [429] * 5
        assert await asked("192.0.2.1", TOKEN) == 429, "or else it could go on guessing"
        assert await asked("192.0.2.2", TOKEN) == 200
        response = await session.get("/events", params={"token": "x"}, headers={"X-Forwarded-For": "192.0.2.1"})
        assert "wrong tokens" in await refused(response, 429) and int(response.headers["Retry-After"]) > 0

    talk(serve(token=TOKEN, trusted_proxies=proxy), work)


def test_a_read_only_token_opens_events_and_the_overlay_alone(serve: Serve) -> None:
    server = serve(token=TOKEN, read_token=READ_TOKEN, local=True)

    async def work(session: aiohttp.ClientSession) -> None:
        read = {"token": READ_TOKEN}
        assert (await session.get("/overlay", params=read)).status == 200
        async with session.ws_connect("/events", params=read):
            pass
        for method, path in (("GET", "/"), ("GET", "/metrics"), ("POST", "/offer"), ("DELETE", "/rooms/x")):
            assert "alone" in await refused(await session.request(method, path, params=read), 403)

    talk(server, work)


def test_links_of_a_room_carry_a_read_only_token(serve: Serve) -> None:
    server = serve(token=TOKEN)

    async def work(session: aiohttp.ClientSession) -> None:
        async with Browser(server.port, token=TOKEN) as browser:
            token = browser.answer["read_token"]
            assert token and token != TOKEN
            async with session.ws_connect("/events", params={"token": token}) as events:
                assert await events.receive_json()
            assert (await session.get("/metrics", params={"token": token})).status == 403

    talk(server, work)


def test_a_browser_without_a_token_gets_the_page_that_asks_for_it(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        html = {"Accept": "text/html,*/*"}
        for path, part in (("/", "/page/app.js"), ("/overlay", "/page/overlay.js"), ("/?token=wrong", "/page/app.js")):
            response = await session.get(path, headers=html)
            assert response.status == 401 and part in await response.text()
        assert await (await session.get("/metrics", headers=html)).text() == "unauthorized"

    talk(serve(token=TOKEN), work)


def test_other_sites_pages_are_refused(serve: Serve) -> None:
    server = serve()

    async def work(session: aiohttp.ClientSession) -> None:
        for origin in ("https://evil.example", "null", f"http://localhost:{server.port}.evil.example", "http://[", ""):
            given = {"Origin": origin}
            await refused(await session.post("/offer", headers=given), 403)
            await refused(await session.delete("/rooms/x", headers=given), 403)
            await refused(await session.get("/events", headers=given), 403)
        own = {"Origin": f"http://127.0.0.1:{server.port}"}
        await refused(await session.post("/offer", headers=own), 400)

    talk(server, work)


def test_other_names_that_lead_here_are_refused(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        for host in ("evil.example", "evil.example:80", "192.168.7.7", "[", "", "localhost.evil.example"):
            await refused(await session.get("/", headers={"Host": host}), 403)
        for host in ("localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:80"):
            assert (await session.get("/", headers={"Host": host})).status == 200

    talk(serve(), work)


def test_with_a_token_any_name_may_lead_here_but_origins_must_match(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        known = {"Authorization": f"Bearer {TOKEN}", "Host": "meeting.example:8443"}
        assert (await session.get("/", headers=known)).status == 200
        await refused(await session.post("/offer", headers={**known, "Origin": "https://meeting.example:8443"}), 400)
        await refused(await session.post("/offer", headers={**known, "Origin": "https://evil.example:8443"}), 403)

    talk(serve(token=TOKEN), work)


def test_offers_that_are_none_get_a_line(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        for body in (b"", b"{", b"[]", b"{}", b"\xff", b'{"type":"offer","sdp":5}', b"[" * 9000):
            assert await refused(await session.post("/offer", data=body), 400)
        assert "pixels" in await refused(
            await session.post("/offer", json={"type": "offer", "sdp": "v=0", "long_side": "wide"}), 400
        )
        assert "SDP" in await refused(await session.post("/offer", json={"type": "offer", "sdp": "m=video"}), 400)
        assert "video" in await refused(await session.post("/offer", json={"type": "offer", "sdp": "v=0"}), 400)
        await refused(await session.post("/offer", data=b" " * (OFFER_BYTES + 1)), 413)

    talk(serve(), work)


def test_too_many_offers_have_to_wait(serve: Serve) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        answers = [await session.post("/offer", data=b"{}") for _ in range(30)]
        assert [answer.status for answer in answers[:10]] == [400] * 10
        assert "wait" in await refused(answers[-1], 429)
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert (await session.get("/healthz")).status == 200

    talk(serve(), work)


def test_events_are_relayed_from_a_run_on_this_machine(serve: Serve) -> None:
    server = serve(local=True)
    assert server.relay is not None
    relay = server.relay
    relay.event(SpeakerEvent(1.0, SpeakingState.SPEAKING, 1, None))

    async def work(session: aiohttp.ClientSession) -> None:
        for path in ("/events", "/events?room=local"):
            async with session.ws_connect(path) as events:
                assert (await events.receive_json())["type"] == "speaker"
                relay.event(ScoresEvent(2.0, 0.5, ()))
                assert await events.receive_json() == {"type": "scores", "time": 2.0, "speech": 0.5, "faces": []}

    talk(server, work)


COMMANDS: list[dict[str, object]] = [
    {"type": "name", "id": 1, "name": "Ada"},
    {"type": "pin", "id": 1},
    {"type": "exclude", "id": 2, "on": True},
    {"type": "ignore", "region": [0, 0, 10, 10]},
    {"type": "hold", "seconds": 2},
    {"type": "release"},
    {"type": "sensitivity", "score": 0.5},
    {"type": "view", "view": "split"},
    {"type": "lag", "milliseconds": 80},
    {"type": "record", "on": False},
    {"type": "reset"},
]


@pytest.mark.parametrize("way", ["http", "control", "data channel"])
def test_every_command_is_acknowledged_and_seen_by_another_client(serve: Serve, way: str) -> None:
    server = serve()

    async def work(session: aiohttp.ClientSession) -> None:
        async with Browser(server.port) as browser:
            await browser.scored(1)
            room = browser.room
            async with (
                session.ws_connect(f"/events?room={room}") as other,
                session.ws_connect(f"/control?room={room}") as socket_,
            ):
                for command in COMMANDS:
                    given = time.monotonic()
                    if way == "http":
                        response = await session.post(f"/rooms/{room}/commands", json=command)
                        ack = await response.json()
                    elif way == "control":
                        await socket_.send_json(command)
                        ack = await newest(socket_, "ack")
                    else:
                        count = len(browser.of("ack"))
                        browser.notify(**command)
                        await browser.until(partial(lambda count: len(browser.of("ack")) > count, count))
                        ack = browser.of("ack")[-1]
                    assert (ack["type"], ack["command"]) == ("ack", command)
                    assert (await newest(other, "control"))["command"] == command
                    assert time.monotonic() - given < 0.5  # 0.1 s on a quiet machine

    talk(server, work)


async def newest(events: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, object]:
    while True:
        message: dict[str, object] = await asyncio.wait_for(events.receive_json(), 5.0)
        if message["type"] == kind:
            return message


def test_commands_reach_a_run_on_this_machine(serve: Serve) -> None:
    server = serve(local=True)

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect("/events") as events:
            response = await session.post("/rooms/local/commands", json={"type": "name", "id": 1, "name": "Ada"})
            assert response.status == 200
            assert await newest(events, "names") == {"type": "names", "names": {"1": "Ada"}}
        await refused(await session.post("/rooms/nowhere/commands", json={"type": "reset"}), 404)
        for body in (b"", b"[]", b"\xff", b'{"type":"quit"}', b'{"type":"pin","id":0}'):
            await refused(await session.post("/rooms/local/commands", data=body), 400)
        schema = await (await session.get("/schema.json")).json()
        assert len(schema["oneOf"]) == len(COMMANDS)

    talk(server, work)


def test_every_message_of_a_room_fits_the_schema(serve: Serve) -> None:
    server = serve(local=True)
    messages = [{"type": "name", "id": 1, "name": "Ada"}, {"type": "pin", "id": 1}, {"type": "pin"}]

    async def work(session: aiohttp.ClientSession) -> None:
        schema = (await (await session.get("/schema.json")).json())["$defs"]["event"]
        async with session.ws_connect("/control") as control:
            wanted = {"names", "pinned", "ack", "error"}
            for message in messages:
                await control.send_json(message)
            while wanted:
                received = await asyncio.wait_for(control.receive_json(), 5.0)
                jsonschema.validate(received, schema)
                wanted.discard(received["type"])

    talk(server, work)


def test_a_read_only_token_commands_nothing(serve: Serve) -> None:
    server = serve(token=TOKEN, read_token=READ_TOKEN, local=True)

    async def work(session: aiohttp.ClientSession) -> None:
        for token, status in ((READ_TOKEN, 403), (TOKEN, 200)):
            headers = {"Authorization": f"Bearer {token}"}
            response = await session.post("/rooms/local/commands", json={"type": "release"}, headers=headers)
            assert response.status == status, await response.text()
            if status == 403:
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await session.ws_connect("/control", headers=headers)
            else:
                async with session.ws_connect("/control", headers=headers) as control:
                    await control.send_json({"type": "release"})
                    assert (await newest(control, "ack"))["command"] == {"type": "release"}

    talk(server, work)


def test_a_client_that_floods_the_control_socket_is_let_go(serve: Serve) -> None:
    server = serve(local=True)

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect("/control") as flood, session.ws_connect("/control") as calm:
            for _ in range(200):
                await flood.send_str("nonsense")
            replies = [message async for message in flood if message.type is aiohttp.WSMsgType.TEXT]
            assert replies and flood.closed
            await calm.send_json({"type": "release"})
            assert (await newest(calm, "ack"))["command"] == {"type": "release"}

    talk(server, work)


def test_the_metrics_count_the_run_on_this_machine(serve: Serve) -> None:
    server = serve(local=True)
    seen = FaceScore(1, Box(0.0, 0.0, 9.0, 9.0), 0.5, False)
    for output in server.outputs:
        output.event(ScoresEvent(2.0, 0.5, (seen, seen)))
        output.event(LoadEvent(2.0, 3, 0, 0))

    async def work(session: aiohttp.ClientSession) -> None:
        text = await (await session.get("/metrics")).text()
        for line in ("speakerlight_rooms 1.0", "speakerlight_faces 2.0", "speakerlight_load_level 3.0"):
            assert line in text.splitlines()

    talk(server, work)


def test_events_of_the_only_room_need_no_name(serve: Serve) -> None:
    server = serve()

    async def work(session: aiohttp.ClientSession) -> None:
        await refused(await session.get("/events"), 404)
        await refused(await session.get("/events?room=none"), 404)
        async with Browser(server.port) as browser:
            await browser.scored(1)
            browser.notify(type="name", id=1, name="Ada")
            await browser.until(lambda: browser.of("names"))
            async with session.ws_connect("/events") as one, session.ws_connect(f"/events?room={browser.room}") as two:
                for events in (one, two):
                    kinds = {(await events.receive_json())["type"] for _ in range(12)}
                    assert {"session", "names", "scores"} <= kinds
                await session.delete(f"/rooms/{browser.room}")
                last = [message.json() async for message in one][-1]
                assert last["type"] == "summary"

    talk(server, work)


def test_a_listener_that_never_reads_does_not_delay_others(serve: Serve) -> None:
    server = serve(local=True)
    relay = server.relay
    assert relay is not None

    async def work(session: aiohttp.ClientSession) -> None:
        lazy = socket.create_connection(("127.0.0.1", server.port))
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(
            b"GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        async with session.ws_connect("/events") as keen:
            line = "x" * 20_000
            for number in range(400):
                relay.publish("scores", json.dumps({"type": "scores", "number": number, "line": line}))
                assert (await asyncio.wait_for(keen.receive_json(), 1.0))["number"] == number
        lazy.close()

    talk(server, work)


def test_a_listener_that_talks_too_much_is_let_go(serve: Serve) -> None:
    server = serve(local=True)

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect("/events") as events:
            await events.send_str("x" * 100_000)
            assert (await events.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    talk(server, work)


def test_connections_on_which_nothing_comes_are_let_go(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(offers, "OFFER_SECONDS", 0.3)
    port = serve().port
    half_an_offer = b"POST /offer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    for sent in (b"", b"GET / HTTP/1.1\r\nHost: local", half_an_offer):
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as connection:
            connection.sendall(sent)
            assert connection.recv(100)[:12] == (b"HTTP/1.1 408" if sent is half_an_offer else b"")


def test_it_speaks_tls(serve: Serve, tmp_path: Path) -> None:
    files = certificate(tmp_path)
    server = serve(**files)

    async def work(session: aiohttp.ClientSession) -> None:
        trusting = ssl.create_default_context(cafile=str(files["cert"]))
        response = await session.get(f"https://localhost:{server.port}/healthz", ssl=trusting)
        assert response.status == 200
        assert response.headers["Strict-Transport-Security"].startswith("max-age=")

    talk(server, work)
