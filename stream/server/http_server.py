"""HTTP server thread: an event loop of its own that serves an application; security headers of all responses."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from aiohttp import web
from aiortc import InvalidStateError

from speakerlight.server.guard import guard
from speakerlight.server.listening_socket import Listening
from speakerlight.server.metrics import Metrics
from speakerlight.server.page_handlers import PageHandlers
from speakerlight.server.rate_limit import RateLimiter

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

STRICT_TRANSPORT = "max-age=31536000"
"""HSTS for a year: a browser that reached this name over TLS once never sends it a token unencrypted."""

IDLE_SECONDS = 20.0
"""A connection without a request for this long is closed."""

SHUTDOWN_SECONDS = 0.2
"""Time for requests in progress when the server ends."""

MAX_REPORTED_FAILURES = 10
"""Limit of log lines (burst, and per minute), however many connections of a hostile client fail."""


class HttpServer(ABC):
    """A server thread that runs from ``__enter__`` to ``__exit__``."""

    def __init__(self, listening: Listening, notify: Callable[[str], None]) -> None:
        self._listening, self._notify = listening, notify
        self._loop = asyncio.new_event_loop()
        self._failures = RateLimiter(MAX_REPORTED_FAILURES, MAX_REPORTED_FAILURES / 60)
        self._ready: Future[None] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listening.port

    @abstractmethod
    def application(self) -> AbstractAsyncContextManager[web.Application]:
        """Context manager of the served application; exited when the server ends."""

    def guarded_application(self, metrics: Metrics, most_bytes: int) -> web.Application:
        """An application with guard, headers and page, as every server has. ``most_bytes``: limit of a body."""
        settings = self._listening.settings
        # Scraped on the loop's own thread, like all requests.
        metrics.gauge("loop_seconds", "Processor time of the event loop, which carries all DTLS", time.thread_time)
        guarded = guard(settings, metrics, self._loop.time, self._notify)
        app = web.Application(client_max_size=most_bytes, middlewares=[guarded])
        app.add_routes(PageHandlers(settings, metrics).routes())
        app.on_response_prepare.append(_add_headers)
        return app

    def __enter__(self) -> Self:
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
        for library in ("aiohttp", "aiortc", "aioice"):
            logging.getLogger(library).setLevel(logging.CRITICAL)  # malformed input of clients is not worth a line
        runner: web.AppRunner | None = None
        try:
            async with self.application() as app:
                runner = web.AppRunner(
                    app, access_log=None, keepalive_timeout=IDLE_SECONDS, shutdown_timeout=SHUTDOWN_SECONDS
                )
                await runner.setup()
                # Imported modules stay: each scan of them stalls all requests and rooms for 30 to 70 ms (measured).
                gc.freeze()
                await web.SockSite(runner, self._listening.socket, ssl_context=self._listening.tls).start()
                self._ready.set_result(None)
                await self._stop.wait()
        finally:
            if runner is not None:
                await runner.cleanup()

    def _report_failure(self, context: dict[str, Any]) -> None:
        """Report the failure of a task that is not awaited, mostly in aiortc; its connection fails and is swept."""
        if isinstance(context.get("exception"), InvalidStateError | ConnectionError):
            return  # the connection was closed while it was still being opened
        if self._failures.take(self._loop.time()):
            self._notify(f"server: {context.get('exception') or context['message']}")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    if request.secure:
        response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
