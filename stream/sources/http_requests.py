"""HTTP requests by Python's client: beside FFmpeg, to read what cannot be sought in and to say why one was refused."""

from __future__ import annotations

import base64
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from speakerlight.redaction import redacted
from speakerlight.sources.not_media import HEAD_BYTES, advice_for


def opened_http(address: str, timeout_seconds: float) -> HTTPResponse:
    """The response of an http or https address, which may hold a user and a password. Raises OSError, HTTPException.

    ``timeout_seconds``: longest wait for the server to answer, and for more of what it sends.
    """
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    request = Request(parts._replace(netloc=host, fragment="").geturl())
    if user:
        credentials = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {credentials}")  # not for where it redirects to
    response: HTTPResponse = urlopen(request, timeout=timeout_seconds)  # http or https: the caller ensures it
    return response


def http_advice(address: str, timeout_seconds: float) -> str | None:
    """What to do about an http address that holds no media or redirects to what is not followed; None: not known."""
    try:
        with opened_http(address, timeout_seconds) as response:
            return advice_for(response.read1(HEAD_BYTES))
    except HTTPError as error:
        target = error.headers.get("Location")
        if not 300 <= error.code < 400 or target is None:
            return None
        return f"it redirects to {redacted(target)}, which is not followed: give the address that has the media"
    except (OSError, ValueError, HTTPException):
        return None
