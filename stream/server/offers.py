"""WebRTC offers: rate limit per client, and the HTTP answers of refused ones (server full, name taken, draining)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from speakerlight.core.errors import InputError
from speakerlight.server.guard import CLIENT_KEY, all_rooms_taken, error
from speakerlight.server.rate_limit import RateLimiters
from speakerlight.server.rooms import ClientLimitError, DrainingError, FullError, NameTakenError
from speakerlight.server.rtc.udp_ports import PortsTakenError
from speakerlight.server.viewers import ViewersFullError

BURST_OFFERS, OFFERS_PER_SECOND = 12, 0.5
"""Rate of one client: enough for the people of one office who all reload, and for a page that retries."""

OFFER_SECONDS = 10.0
"""Time for an offer to arrive and to be answered. Resolving a local name (mDNS) takes a second or so."""


class Offers:
    """Answers offers of all kinds."""

    def __init__(self) -> None:
        self._rates = RateLimiters(BURST_OFFERS, OFFERS_PER_SECOND)

    async def answer(self, request: web.Request, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """The response of ``work``, or the error response of the exception that it raised."""
        if not self._rates.take(request[CLIENT_KEY], asyncio.get_running_loop().time()):
            return error(429, "too many offers; wait some seconds", {"Retry-After": "2"})
        try:
            async with asyncio.timeout(OFFER_SECONDS):
                return await work()
        except InputError as bad:
            return error(400, str(bad))
        except TimeoutError:
            return error(408, "the offer took too long")
        except NameTakenError:
            return error(409, "there is a room of that name; close it first", {"Retry-After": "5"})
        except ClientLimitError as limit:
            return error(429, str(limit), {"Retry-After": "5"})
        except PortsTakenError as all_used:
            return error(503, f"{all_used}; try again later", {"Retry-After": "10"})
        except DrainingError:
            return error(503, "this host is being drained; try again", {"Retry-After": "1"})
        except FullError:
            return all_rooms_taken()
        except ViewersFullError:
            return error(503, "too many viewers; try again later", {"Retry-After": "10"})
