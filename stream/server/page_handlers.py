"""HTTP handlers that need no room: the page, ICE servers, the schema of commands and events, health and metrics."""

from __future__ import annotations

import time

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from speakerlight.core.decision.commands import SCHEMA
from speakerlight.core.event_schema import EVENT_SCHEMA
from speakerlight.server.metrics import Metrics
from speakerlight.server.page_parts import PAGE, page_parts, slim
from speakerlight.server.serve_settings import ServeSettings


class PageHandlers:
    """Handlers that a server and a door share."""

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._parts = page_parts()
        index = slim((PAGE / "index.html").read_text(encoding="utf-8"))
        self._page = index.replace("<html ", "<html data-recognizes ", 1) if settings.recognizes else index

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._index),
            web.get("/overlay", self._overlay),
            web.get(r"/page/{name:[a-z]+\.(js|css|svg)}", self._page_file),
            web.get("/ice", self._ice_servers),
            web.get("/schema.json", self._schema),
            web.get("/healthz", self._health),
            web.get("/metrics", self._metrics_text),
        ]

    async def _index(self, request: web.Request) -> web.Response:
        return _compressed(self._page, "text/html")

    async def _overlay(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "overlay.html")

    async def _page_file(self, request: web.Request) -> web.Response:
        part = self._parts.get(request.match_info["name"])
        if part is None:
            raise web.HTTPNotFound
        return _compressed(part.text, part.kind)

    async def _ice_servers(self, request: web.Request) -> web.Response:
        servers = self._settings.ice.servers_at(time.time())
        return web.json_response({"iceServers": [server.for_browser() for server in servers]})

    async def _schema(self, request: web.Request) -> web.Response:
        return web.json_response({**SCHEMA, "$defs": {"event": EVENT_SCHEMA}})

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _metrics_text(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _compressed(text: str, kind: str) -> web.Response:
    """A response that is compressed for clients that accept it."""
    response = web.Response(text=text, content_type=kind)
    response.enable_compression()
    return response
