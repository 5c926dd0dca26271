"""A client as a program: asks the server for its ICE servers, opens a room and prints how it was reached as JSON.

    python -m tests.stream.server.reach_client HOST TOKEN [--short] [--loopback]

--short: give up soon. --loopback: offer a loopback candidate, as browsers without another interface do.
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


async def reach(host: str, token: str) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(f"http://{host}:{HTTP_PORT}", headers=headers) as session:
        given = (await (await session.get("/ice")).json())["iceServers"]
        servers = [RTCIceServer(each["urls"], each.get("username"), each.get("credential")) for each in given]
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
    print(json.dumps(asyncio.run(reach(sys.argv[1], sys.argv[2]))))
