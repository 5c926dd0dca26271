"""Who may ask for what: every request passes here first, and whatever goes wrong with it leaves as one clear line."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from speakerlight.server.metrics import Metrics
from speakerlight.server.rate_limit import RateLimiters
from speakerlight.server.serve_settings import ServeSettings, leads_to_loopback

OPEN_TO_ALL = ("/healthz", "/page/")
"""Needs no token: that the server is there, and the page's own files, which modules fetch without its query."""

BURST_REQUESTS, REQUESTS_A_SECOND = 200, 50.0
"""Of one address. A page is some twenty requests."""


def guard(
    settings: ServeSettings, metrics: Metrics, now: Callable[[], float], notify: Callable[[str], None]
) -> Middleware:
    """A middleware that refuses what must not be, and counts it. ``now``: seconds that never go back."""
    allowances = RateLimiters(BURST_REQUESTS, REQUESTS_A_SECOND)

    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        if refusal := _refusal(request, settings):
            return refusal
        if not allowances.take(request.remote or "", now()):
            return error(429, "too many requests; wait a second", {"Retry-After": "1"})
        try:
            return await handler(request)
        except web.HTTPException as refused:
            return error(refused.status, refused.reason.lower())
        except ConnectionError:
            raise
        except Exception as failure:  # a mistake of ours: the others go on, and nothing of it is told
            notify(f"server: a request failed: {type(failure).__name__}: {failure}")
            return error(500, "the server failed")

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await answered(request, handler)
        if response.status >= 400:
            metrics.rejected.labels(response.status).inc()
        return response

    return guarded


def error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """One clear line as JSON."""
    return web.json_response({"error": message}, status=status, headers=headers)


def _refusal(request: web.Request, settings: ServeSettings) -> web.Response | None:
    host = request.headers.get("Host", "")
    # A page of another site can have its own name lead here (DNS rebinding), and the browser then takes it for ours. It
    # knows no token, so names matter where none is asked for, which is on loopback alone.
    if settings.token is None and not leads_to_loopback(_host_name(f"//{host}")):
        return error(403, "this server is not known by that name; use localhost")
    origin = request.headers.get("Origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return error(403, "another site's page may not ask this")
    if settings.token is not None and not request.path.startswith(OPEN_TO_ALL) and not _knows(request, settings.token):
        return web.Response(status=401, text="unauthorized", headers={"WWW-Authenticate": "Bearer"})
    return None


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _knows(request: web.Request, token: str) -> bool:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    given = bearer if scheme == "Bearer" else request.query.get("token", "")
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
