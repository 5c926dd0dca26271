"""All viewers (WHEP) of a server's rooms: limits, and closing of those whose room or connection ended."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from speakerlight.server.client_address import IpAddress, client_key
from speakerlight.server.ice_settings import IceSettings
from speakerlight.server.rtc.viewer import Viewer
from speakerlight.server.view_broadcast import ViewBroadcast

logger = logging.getLogger(__name__)

MAX_VIEWERS = 8
"""Maximum number of viewers: each needs an encoder of its own."""

CLIENT_VIEWERS = 4

CONNECTING_SECONDS = 15.0
"""Limit per client, as for rooms."""

SUPERVISION_SECONDS = 0.5


class ViewersFullError(Exception):
    """The maximum number of viewers, in total or of this client, is connected."""


@dataclass(eq=False)
class _Watching:
    viewer: Viewer
    view: ViewBroadcast
    client: str


class Viewers:
    """Belongs to the server's loop."""

    def __init__(self, ice: IceSettings) -> None:
        self._ice = ice
        self._watching: dict[str, _Watching] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, view: ViewBroadcast, sdp: str, address: IpAddress | None) -> tuple[str, str]:
        """Open a viewer of ``view``: id and SDP answer. Raises InputError, ViewersFullError, PortsTakenError."""
        client = client_key(address)
        own = sum(each.client == client for each in self._watching.values())
        if len(self._watching) >= MAX_VIEWERS or own >= CLIENT_VIEWERS:
            raise ViewersFullError
        name = secrets.token_urlsafe(12)
        viewer = Viewer(
            f"viewer {name}", self._ice, address, has_audio=view.has_audio, lost=lambda: self._close_soon(name)
        )
        self._watching[name] = _Watching(viewer, view, client)
        try:
            answer = await viewer.answer(sdp)
        except BaseException:
            await self.close(name)
            raise
        view.subscribe(viewer.video, viewer.audio)
        self._start(self._supervise(name))
        return name, answer

    def get(self, name: str) -> Viewer | None:
        """A viewer by its id."""
        return self._watching[name].viewer if name in self._watching else None

    async def close(self, name: str) -> None:
        """End a viewer, if it exists."""
        if (watching := self._watching.pop(name, None)) is not None:
            watching.view.unsubscribe(watching.viewer.video)
            await watching.viewer.close()

    async def close_all(self) -> None:
        await asyncio.gather(*(self.close(name) for name in tuple(self._watching)))
        for task in self._tasks:
            task.cancel()

    async def _supervise(self, name: str) -> None:
        """Close a viewer whose room has ended, or that does not connect."""
        opened = asyncio.get_running_loop().time()
        while (viewer := self.get(name)) is not None:
            is_late = asyncio.get_running_loop().time() - opened > CONNECTING_SECONDS
            if viewer.video.is_over or (is_late and not viewer.was_connected):
                await self.close(name)
                return
            await asyncio.sleep(SUPERVISION_SECONDS)

    def _close_soon(self, name: str) -> None:
        self._start(self.close(name))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
