"""Listening socket: bound before anything slow starts, so that a wrong address is reported at once."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from speakerlight.core.errors import InputError
from speakerlight.server.serve_settings import ServeSettings


@dataclass(frozen=True, eq=False)
class Listening:
    """A bound socket. ``port``: the one asked for, or the one the system chose for 0."""

    settings: ServeSettings
    socket: socket.socket
    tls: ssl.SSLContext | None

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


@contextmanager
def listening(settings: ServeSettings) -> Iterator[Listening]:
    """Bind the address; clients that connect wait until a server accepts. Raises InputError."""
    tls = _tls(settings)
    with _bound(settings) as bound:
        yield Listening(settings, bound, tls)


def _bound(settings: ServeSettings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else error.strerror
        raise InputError(f"--serve {host}:{port}: {why}; choose another port or address") from error


def _tls(settings: ServeSettings) -> ssl.SSLContext | None:
    if settings.cert is None or settings.key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert, settings.key, password="")  # no password prompt
    except (ssl.SSLError, OSError) as error:
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        why = why or "one is no PEM file, or the key has a password"
        raise InputError(
            f"--cert {settings.cert}: cannot be used with its key ({why}); give PEM files without a password"
        ) from error
    return context
