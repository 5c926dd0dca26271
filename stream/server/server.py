"""The server: rooms with their engines behind HTTP, on an event loop beside the engines' threads."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from aiohttp import web

from speakerlight.control import Control
from speakerlight.core.framing import View
from speakerlight.outputs.output import Output
from speakerlight.rings import FrameRing
from speakerlight.server.data_channel import publish_state
from speakerlight.server.handlers import OFFER_BYTES, HttpHandlers
from speakerlight.server.host_handlers import HANDOVER_BYTES, HostHandlers
from speakerlight.server.http_server import HttpServer
from speakerlight.server.listening_socket import Listening
from speakerlight.server.metrics import Metrics
from speakerlight.server.offers import Offers
from speakerlight.server.relay import Relay
from speakerlight.server.room import Engines, RoomHandle
from speakerlight.server.room_status import RoomStatus
from speakerlight.server.rooms import Rooms
from speakerlight.server.view_broadcast import ViewBroadcast, overlay_info
from speakerlight.server.viewers import Viewers
from speakerlight.server.whip import WhipHandlers


class Server(HttpServer):
    """All of it in one process; with a name, a host behind a door."""

    def __init__(
        self,
        listening: Listening,
        engines: Engines,
        notify: Callable[[str], None],
        *,
        local: Control | None = None,
        view: View = View.BOXES,
        host: str | None = None,
    ) -> None:
        """``local``: the commands that steer this machine's own run, where that is a room too; it feeds ``outputs``.

        ``view``: what viewers of a room get. ``host``: name of this host in a cluster.
        """
        super().__init__(listening, notify)
        self._engines, self._view, self._host = engines, view, host
        self.drained = threading.Event()
        """Set once this host was drained and has no room left."""
        self._local = RoomHandle(local, Relay(self._loop), None) if local is not None else None
        self._status = RoomStatus() if local is not None else None
        if self._local is not None:
            publish_state(self._local.control, self._local.relay.publish)

    @property
    def relay(self) -> Relay | None:
        """Relay of the events of this machine's own run."""
        return self._local.relay if self._local is not None else None

    @property
    def outputs(self) -> list[Output]:
        """Outputs for this machine's own run."""
        view = self._local.view if self._local is not None else None
        return [output for output in (self.relay, self._status, view) if output is not None]

    def show(self, frames: FrameRing | None, *, has_audio: bool) -> None:
        """Offer viewers this machine's own run. Call it before the server is entered."""
        assert self._local is not None
        info = partial(overlay_info, self._local.control)
        self._local = replace(self._local, view=ViewBroadcast(self._view, frames, info, has_audio=has_audio))

    @asynccontextmanager
    async def application(self) -> AsyncIterator[web.Application]:
        metrics = Metrics()
        settings = self._listening.settings
        rooms = Rooms(
            self._engines, metrics, self._notify, self._status, settings, self._view, self._host, self.drained.set
        )
        viewers, offers = Viewers(settings.ice), Offers()
        most_bytes = OFFER_BYTES if self._host is None else OFFER_BYTES + HANDOVER_BYTES
        app = self.guarded_application(metrics, most_bytes)
        handlers = HttpHandlers(rooms, self._local, settings, offers)
        app.add_routes(handlers.routes())
        app.add_routes(WhipHandlers(rooms, viewers, handlers.room, offers, settings.ice, self._host).routes())
        if self._host is not None:
            app.add_routes(HostHandlers(self._host, rooms).routes())
        try:
            yield app
        finally:
            await viewers.close_all()
            await rooms.close_all()
