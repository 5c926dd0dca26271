"""Broken commands, wrong scope and floods by every way in: an error each, and no room is harmed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import aiohttp
import pytest

from speakerlight.core.decision.commands import SCHEMA
from speakerlight.server import guard
from speakerlight.server.data_channel import BURST_MESSAGES, MAX_ERRORS
from tests.stream.server.browser import Browser
from tests.stream.server.conftest import Serve

TOKEN = "correct horse battery"
READ_TOKEN = "staple for reading"
FULL = {"Authorization": f"Bearer {TOKEN}"}
LIMIT_SECONDS = 60.0
"""Far more than it takes: a test shares its machine with others."""

WAYS = ("HTTP", "/control", "data channel")

Event = dict[str, Any]
Send = Callable[[object], Awaitable[Event]]


def broken_commands(count: int) -> list[object]:
    """Commands of the schema with a field missing, added, or of another kind."""
    chance = random.Random(0)
    values: list[object] = [None, True, -1, 0, 1.5, 1e308, "x", "", [], {}, [1, 2], "a" * 200, 10**30]
    made: list[object] = ["nonsense", 7, None, [], {}]
    while len(made) < count:
        kind = chance.choice(SCHEMA["oneOf"])["properties"]["type"]["const"]
        command: dict[str, object] = {"type": kind, "more": chance.choice(values)}
        for name in ("id", "name", "on", "region", "seconds", "score", "view", "milliseconds"):
            if chance.random() < 0.3:
                command[name] = chance.choice(values)
        made.append(command)
    return made


@asynccontextmanager
async def way_in(way: str, browser: Browser, session: aiohttp.ClientSession) -> AsyncIterator[Send]:
    """Sends one message to the browser's room and returns the reply to it."""
    if way == "HTTP":

        async def post(message: object) -> Event:
            path = f"/rooms/{browser.room}/commands"
            answer = await session.post(path, data=json.dumps(message), headers=FULL)
            body: Event = await answer.json()
            return body if answer.status == 200 else {"type": "error", "message": body["error"]}

        yield post
    elif way == "/control":
        async with session.ws_connect(f"/control?room={browser.room}", headers=FULL) as socket:

            async def send(message: object) -> Event:
                await socket.send_str(json.dumps(message))
                while (event := await socket.receive_json())["type"] not in ("ack", "error"):
                    pass
                return dict(event)

            yield send
    else:

        async def notify(message: object) -> Event:
            def replies() -> list[Event]:
                return [event for event in browser.events if event["type"] in ("ack", "error")]

            before = len(replies())
            browser.channel.send(json.dumps(message))
            await browser.until(lambda: len(replies()) > before)
            return replies()[before]

        yield notify


def play(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * LIMIT_SECONDS):
            await work()

    asyncio.run(bounded())


async def scored(browser: Browser, count: int) -> None:
    await browser.until(lambda: len(browser.of("scores")) >= count, LIMIT_SECONDS)


async def check_unharmed(good: Browser) -> None:
    """The room goes on, and no command has reached it."""
    await scored(good, len(good.of("scores")) + 5)
    assert not good.of("control") and not good.of("error") and not good.of("summary")


@pytest.mark.parametrize("way", WAYS)
def test_every_broken_command_gets_an_error_and_changes_nothing(serve: Serve, way: str) -> None:
    server = serve(token=TOKEN)

    async def work() -> None:
        messages = broken_commands(3 * MAX_ERRORS)
        async with Browser(server.port, token=TOKEN) as good, aiohttp.ClientSession(good.url) as session:
            for start in range(0, len(messages), MAX_ERRORS):
                async with (
                    Browser(server.port, token=TOKEN) as browser,
                    way_in(way, browser, session) as send,
                ):
                    await scored(browser, 1)
                    for message in messages[start : start + MAX_ERRORS]:
                        reply = await send(message)
                        assert reply["type"] == "error" and "\n" not in reply["message"], (message, reply)
                    assert (await send({"type": "release"}))["type"] == "ack", "a good one is taken"
                    await browser.until(partial(browser.of, "control"))
                    assert [event["command"] for event in browser.of("control")] == [{"type": "release"}]
            await check_unharmed(good)

    play(work)


def test_without_the_scope_every_command_is_refused(serve: Serve) -> None:
    server = serve(token=TOKEN, read_token=READ_TOKEN)

    async def work() -> None:
        async with Browser(server.port, token=TOKEN) as good, aiohttp.ClientSession(good.url) as session:
            path, query = f"/rooms/{good.room}/commands", f"?room={good.room}"
            for kind in (each["properties"]["type"]["const"] for each in SCHEMA["oneOf"]):
                for headers, status in (({}, 401), ({"Authorization": f"Bearer {READ_TOKEN}"}, 403)):
                    assert (await session.post(path, json={"type": kind}, headers=headers)).status == status
            for headers in ({}, {"Authorization": f"Bearer {READ_TOKEN}"}):
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await session.ws_connect(f"/control{query}", headers=headers)
            async with session.ws_connect(f"/events{query}&token={READ_TOKEN}") as events:
                await events.send_json({"type": "reset"})
                while (event := await events.receive_json())["type"] != "error":
                    pass
                assert "/control" in event["message"]
            await check_unharmed(good)

    play(work)


@pytest.mark.parametrize("way", [*WAYS, "/events"])
def test_a_flood_harms_no_other_room(serve: Serve, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BURST_REQUESTS", 20)
    server = serve(token=TOKEN)
    count = 2 * BURST_MESSAGES
    command = json.dumps({"type": "pin", "id": 1})

    async def work() -> None:
        async with (
            Browser(server.port, token=TOKEN) as good,
            Browser(server.port, token=TOKEN) as flooded,
            aiohttp.ClientSession(good.url) as session,
        ):
            for browser in (good, flooded):
                await scored(browser, 1)
            if way == "HTTP":
                path = f"/rooms/{flooded.room}/commands"
                answers = await asyncio.gather(*(session.post(path, data=command, headers=FULL) for _ in range(count)))
                assert {answer.status for answer in answers} == {200, 429}
            elif way == "data channel":
                for _ in range(count):
                    flooded.channel.send(command)
                while (await session.get(f"/rooms/{flooded.room}", headers=FULL)).status != 404:
                    await asyncio.sleep(0.1)
            else:
                async with session.ws_connect(f"{way}?room={flooded.room}", headers=FULL) as socket:
                    with suppress(ConnectionError):
                        for _ in range(count):
                            await socket.send_str(command)
                    replies = [json.loads(each.data) async for each in socket if each.type is aiohttp.WSMsgType.TEXT]
                assert any(event["type"] == "error" for event in replies) and socket.closed
            await check_unharmed(good)

    play(work)
