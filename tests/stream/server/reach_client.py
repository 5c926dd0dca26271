"""A client as a program: asks the server for its ICE servers, opens a room and prints how it was reached as JSON.

    python -m tests.stream.server.reach_client HOST TOKEN [--short] [--loopback] [--demo]

--short: give up soon. --loopback: offer a loopback candidate, as browsers without another interface do.
--demo: play the demo, and print how often the right person was marked instead.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
from aioice import ice
from aiortc import RTCIceServer

from tests.stream.server.browser import Browser
from tests.stream.server.namespaces import HTTP_PORT

SECONDS = 25.0


def asking(host: str, token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://{host}:{HTTP_PORT}", headers={"Authorization": f"Bearer {token}"})


async def ice_servers(session: aiohttp.ClientSession) -> tuple[list[dict[str, str]], list[RTCIceServer]]:
    """The server's ICE servers, as it gives them and as aiortc takes them."""
    given = (await (await session.get("/ice")).json())["iceServers"]
    return given, [RTCIceServer(each["urls"], each.get("username"), each.get("credential")) for each in given]


async def identity(host: str, token: str) -> dict[str, object]:
    """Play the demo to the server: how often the right person was marked."""
    import pytest  # these two take seconds to import, and the other ways of calling this program need neither

    from tests.stream.server.test_server_factory import Stage, watched

    async with asking(host, token) as session:
        _, servers = await ice_servers(session)
    try:
        judge = await watched(HTTP_PORT, Stage(3), token=token, host=host, ice_servers=servers)
    except pytest.skip.Exception as busy:
        return {"skipped": str(busy)}
    return {"identity": judge.verdict().identity}


async def reach(host: str, token: str) -> dict[str, object]:
    async with asking(host, token) as session:
        given, servers = await ice_servers(session)
        browser = Browser(HTTP_PORT, token=token, host=host, ice_servers=servers)
        try:
            await browser.__aenter__()
            await browser.until(lambda: len(browser.of("scores")) >= 5, SECONDS)
            return {"reached": browser.reached, "is_relayed": browser.is_relayed, "ice": given}
        except TimeoutError:
            left = await session.delete(f"/rooms/{browser.room}")
            return {"failure": (await left.json())["ice"], "ice": given}
        finally:
            await browser.__aexit__()


if __name__ == "__main__":
    if "--short" in sys.argv:
        SECONDS = 7.0
    if "--loopback" in sys.argv:
        ice.get_host_addresses = lambda **_: ["127.0.0.1"]
    work = identity if "--demo" in sys.argv else reach
    print(json.dumps(asyncio.run(work(sys.argv[1], sys.argv[2]))))
