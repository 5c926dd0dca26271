"""Access guard: refuses wrong tokens, clients that guess, foreign pages and too many requests; errors as one line.

A client that gave ten wrong tokens within a minute is refused, with any token, until some time has passed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from speakerlight.server.client_address import IpAddress, client_address, client_key
from speakerlight.server.metrics import Metrics
from speakerlight.server.rate_limit import RateLimiters
from speakerlight.server.serve_settings import ServeSettings, leads_to_loopback
from speakerlight.server.tokens import Access

logger = logging.getLogger(__name__)

OPEN_TO_ALL = ("/healthz", "/schema.json", "/page/")
"""Paths that need no token: a health check, the schema of the commands, and the page's own files, because its modules
fetch each other without the query that carries the token."""

READABLE = ("/events", "/overlay")
"""Paths that a read-only token opens."""

PAGES = ("/", "/overlay")
"""Documents without a secret in them. A browser without a token gets them too, with status 401: a reload finds the
token in its tab's storage, and the page can ask for one."""

BURST_REQUESTS, REQUESTS_PER_SECOND = 200, 50.0
"""Requests of one client. Loading the page takes about five."""

BURST_FAILURES, FAILURES_PER_SECOND = 10, 10 / 60
"""Wrong tokens of one client. After these, all its requests with a token are refused without a comparison: otherwise
the client could go on guessing until the answer changes."""

CLIENT_ADDRESS = web.RequestKey[IpAddress | None]("client_address")
CLIENT_KEY = web.RequestKey[str]("client_key")
"""Request keys of the client's address (IpAddress or None) and of the key of per-client limits."""


def guard(
    settings: ServeSettings, metrics: Metrics, now: Callable[[], float], notify: Callable[[str], None]
) -> Middleware:
    """A middleware that refuses and counts requests that are not allowed. ``now``: a monotonic clock in seconds."""
    requests = RateLimiters(BURST_REQUESTS, REQUESTS_PER_SECOND)
    access = _AccessCheck(settings, now)

    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        address = client_address(
            request.remote, request.headers.getall("X-Forwarded-For", []), settings.trusted_proxies
        )
        request[CLIENT_ADDRESS], request[CLIENT_KEY] = address, client_key(address)
        if refusal := _foreign(request, settings):
            return refusal
        if refusal := access.refusal(request):
            is_page = refusal.status == 401 and request.path in PAGES and request.method == "GET"
            if is_page and "text/html" in request.headers.get("Accept", ""):
                page = await handler(request)
                page.set_status(401)
                return page
            return refusal
        if not requests.take(request[CLIENT_KEY], now()):
            return error(429, "too many requests; wait a second", {"Retry-After": "1"})
        try:
            return await handler(request)
        except web.HTTPException as refused:
            return error(refused.status, refused.reason.lower())
        except ConnectionError:
            raise
        except Exception as failure:  # other requests continue; the client gets no detail
            logger.debug("a request failed", exc_info=True)
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


def no_room(hint: str = "") -> web.Response:
    """404: the request names a room that does not exist. ``hint``: how to name one."""
    return error(404, f"there is no such room{hint}")


def all_rooms_taken() -> web.Response:
    """503: a server or all hosts of a door have as many rooms as they may have."""
    return error(503, "all rooms are taken; try again later", {"Retry-After": "10"})


class _AccessCheck:
    """Compares tokens, and stops answering a client that guesses."""

    def __init__(self, settings: ServeSettings, now: Callable[[], float]) -> None:
        self._tokens, self._now = settings.tokens, now
        self._failures = RateLimiters(BURST_FAILURES, FAILURES_PER_SECOND)

    def refusal(self, request: web.Request) -> web.Response | None:
        """The refusal of a request without the right token; None when the request may pass."""
        if self._tokens.full is None or request.path.startswith(OPEN_TO_ALL):
            return None
        given, client = _given_token(request), request[CLIENT_KEY]
        if given is not None and not self._failures.allows(client, self._now()):
            return error(429, "too many wrong tokens; wait a minute", {"Retry-After": "60"})
        access = self._tokens.access(given)
        if access is Access.FULL or (access is Access.READ and request.path in READABLE):
            return None
        if access is Access.READ:
            return error(403, "this token is for events and the overlay alone")
        if given is not None:
            self._failures.take(client, self._now())
            if not self._failures.allows(client, self._now()):
                logger.warning("client %s gave too many wrong tokens and is refused for a while", client)
        return web.Response(status=401, text="unauthorized", headers={"WWW-Authenticate": "Bearer"})


def _foreign(request: web.Request, settings: ServeSettings) -> web.Response | None:
    """The refusal of a request that a page of another site sent; None when the request may pass."""
    host = request.headers.get("Host", "")
    # The name of another site can resolve to this server (DNS rebinding); the browser then treats its page as ours.
    # Such a page has no token, so the name is checked only where no token is needed: on loopback.
    if settings.token is None and not leads_to_loopback(_host_name(f"//{host}")):
        return error(403, "this server has another name; use localhost")
    origin = request.headers.get("Origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return error(403, "requests from pages of other sites are refused")
    return None


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _given_token(request: web.Request) -> str | None:
    """The token of a request: from its header, or from its address for programs that can set no header."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    return bearer if scheme == "Bearer" else request.query.get("token")
