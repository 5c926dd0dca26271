"""The server: one event loop in a thread of its own, beside the engines' threads."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web
from aiortc import InvalidStateError

from speakerlight.control import Control
from speakerlight.core.framing import View
from speakerlight.outputs.output import Output
from speakerlight.rings import FrameRing
from speakerlight.server.data_channel import publish_state
from speakerlight.server.guard import guard
from speakerlight.server.handlers import OFFER_BYTES, HttpHandlers, add_headers
from speakerlight.server.listener import Listening
from speakerlight.server.metrics import Metrics
from speakerlight.server.offers import Offers
from speakerlight.server.rate_limit import RateLimiter
from speakerlight.server.relay import Relay
from speakerlight.server.room import Engines, RoomHandle
from speakerlight.server.room_status import RoomStatus
from speakerlight.server.rooms import Rooms
from speakerlight.server.view_broadcast import ViewBroadcast, overlay_info
from speakerlight.server.viewers import Viewers
from speakerlight.server.whip import WhipHandlers

IDLE_SECONDS = 20.0
"""A connection without a request for this long is closed."""

SHUTDOWN_SECONDS = 0.2
"""Time for requests in progress when the server ends."""

MAX_REPORTED_FAILURES = 10
"""Lines at once and a minute, however many connections of a hostile client fail."""


class Server:
    """Serves from ``__enter__`` to ``__exit__``."""

    def __init__(
        self,
        listening: Listening,
        engines: Engines,
        notify: Callable[[str], None],
        *,
        local: Control | None = None,
        view: View = View.BOXES,
    ) -> None:
        """``local``: the commands that steer this machine's own run, where that is a room too; it feeds ``outputs``.

        ``view``: what viewers of a room get.
        """
        self._listening, self._engines, self._notify = listening, engines, notify
        self._loop = asyncio.new_event_loop()
        self._view = view
        self._local = RoomHandle(local, Relay(self._loop), None) if local is not None else None
        self._status = RoomStatus() if local is not None else None
        if self._local is not None:
            publish_state(self._local.control, self._local.relay.publish)
        self._failures = RateLimiter(MAX_REPORTED_FAILURES, MAX_REPORTED_FAILURES / 60)
        self._ready: Future[None] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listening.port

    @property
    def relay(self) -> Relay | None:
        """The events of this machine's own run."""
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

    def __enter__(self) -> Server:
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._serve())
            except Exception as error:
                if self._ready.done():
                    self._notify(f"server ended: {error}")
                else:
                    self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop.set_exception_handler(lambda _, context: self._report_failure(context))
        metrics = Metrics()
        settings = self._listening.settings
        rooms = Rooms(self._engines, metrics, self._notify, self._status, settings, self._view)
        viewers, offers = Viewers(settings.ice), Offers()
        guarded = guard(settings, metrics, self._loop.time, self._notify)
        app = web.Application(client_max_size=OFFER_BYTES, middlewares=[guarded])
        handlers = HttpHandlers(rooms, self._local, metrics, settings, offers)
        app.add_routes(handlers.routes())
        app.add_routes(WhipHandlers(rooms, viewers, handlers.room, offers, settings.ice).routes())
        app.on_response_prepare.append(add_headers)
        for library in ("aiohttp", "aiortc", "aioice"):
            logging.getLogger(library).setLevel(logging.CRITICAL)  # clients' malformed input is no news
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=IDLE_SECONDS, shutdown_timeout=SHUTDOWN_SECONDS)
        try:
            await runner.setup()
            await web.SockSite(runner, self._listening.socket, ssl_context=self._listening.tls).start()
            self._ready.set_result(None)
            await self._stop.wait()
        finally:
            await viewers.close_all()
            await rooms.close_all()
            await runner.cleanup()

    def _report_failure(self, context: dict[str, Any]) -> None:
        """Report the failure of a task that is not awaited, mostly in aiortc; its connection fails and is swept."""
        if isinstance(context.get("exception"), InvalidStateError | ConnectionError):
            return  # closed while it was still being opened
        if self._failures.take(self._loop.time()):
            self._notify(f"server: {context.get('exception') or context['message']}")
