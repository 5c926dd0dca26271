"""UDP sockets of WebRTC connections, bound inside a port range."""

from __future__ import annotations

import errno
import itertools
import random
import socket

BUFFER_BYTES = 262_144
"""Receive buffer, as aioice sets it: a key frame arrives as a burst of packets."""


class PortsTakenError(Exception):
    """Every port of the range is in use."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(f"all UDP ports {first}-{last} are in use")


class UdpPorts:
    """Binds sockets. ``ports``: first and last port; None: any that the system chooses."""

    def __init__(self, ports: tuple[int, int] | None) -> None:
        self._ports = ports

    def bind(self, host: str) -> socket.socket:
        """A non-blocking socket on ``host``. Raises OSError, and PortsTakenError when no port is left."""
        if self._ports is None:
            return _bound(host, 0)
        first, last = self._ports
        start = random.randint(first, last)
        for port in itertools.chain(range(start, last + 1), range(first, start)):
            try:
                return _bound(host, port)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
        raise PortsTakenError(first, last)


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made
