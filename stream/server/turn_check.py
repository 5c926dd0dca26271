"""Check of STUN and TURN servers (WebRTC), for ``--doctor``: asks each for an address, as a room would."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from speakerlight.server.ice_settings import IceServer, IceSettings
from speakerlight.server.rtc.turn import ask

CHECK_SECONDS = 5.0


@dataclass(frozen=True)
class IceServerCheck:
    """``address``: what the server gave: a relay address, or for stun: this machine's own as seen from outside; None
    when it gave none. ``problem``: the reason, in a few words."""

    server: IceServer
    address: str | None
    seconds: float
    problem: str | None

    def __str__(self) -> str:
        if self.problem is not None:
            return f"{self.server.url}: {self.problem}"
        what = "relays at" if self.server.is_turn else "sees this machine as"
        return f"{self.server.url}: {what} {self.address} ({1000 * self.seconds:.0f} ms)"


def check_ice_servers(settings: IceSettings, timeout_seconds: float = CHECK_SECONDS) -> list[IceServerCheck]:
    """Ask all servers of ``settings`` at once; blocks for ``timeout_seconds`` at most. Needs the extra [web]."""

    async def check_all() -> list[IceServerCheck]:
        servers = settings.servers_at(time.time())
        return list(await asyncio.gather(*(_check(server, settings, timeout_seconds) for server in servers)))

    return asyncio.run(check_all())


async def _check(server: IceServer, settings: IceSettings, timeout_seconds: float) -> IceServerCheck:
    begun = time.monotonic()
    address, problem = await ask(server, settings, timeout_seconds)
    return IceServerCheck(server, address, time.monotonic() - begun, problem)
