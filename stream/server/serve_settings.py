"""Server settings: the address to listen on, and who may come in; one frozen value, checked when it is made."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from speakerlight.cluster.cluster_settings import ClusterSettings
from speakerlight.core.errors import InputError
from speakerlight.server.capacity import ROOMS_A_PROCESS
from speakerlight.server.client_address import Network, in_url
from speakerlight.server.ice_settings import IceSettings
from speakerlight.server.tokens import Tokens

LOOPBACK = "127.0.0.1"

ROOMS = ROOMS_A_PROCESS
"""Default number of rooms that are open at once."""


@dataclass(frozen=True)
class ServeSettings:
    """``--serve`` and its options. Raises InputError with one line when they conflict.

    ``trusted_proxies``: networks whose X-Forwarded-For headers are trusted. ``rooms``: as many at once are admitted,
    by each host of ``cluster`` where there is one. ``recognizes``: people enrolled on this machine are named in rooms.
    """

    host: str
    port: int
    token: str | None = field(default=None, repr=False)
    cert: Path | None = None
    key: Path | None = None
    read_token: str | None = field(default=None, repr=False)
    trusted_proxies: tuple[Network, ...] = ()
    ice: IceSettings = field(default_factory=IceSettings)
    rooms: int = ROOMS
    cluster: ClusterSettings | None = None
    recognizes: bool = False

    def __post_init__(self) -> None:
        if self.rooms < 1:
            raise InputError(f"--rooms {self.rooms}: give 1 or more")
        if self.recognizes and self.cluster is not None:
            raise InputError("--recognize: the hosts of --cluster have no people file; leave one out")
        if (self.cert is None) != (self.key is None):
            raise InputError("--cert and --key: give both, the certificate and its private key, or neither")
        for option, path in (("--cert", self.cert), ("--key", self.key)):
            if path is not None and not path.is_file():
                raise InputError(f"{option} {path}: no such file; give a PEM file")
        Tokens(self.token, self.read_token)
        if not self.is_loopback and self.token is None:
            raise InputError(
                f"--serve {self.host}: others can reach this address; add --token auto, or serve on {LOOPBACK}"
            )

    @property
    def tokens(self) -> Tokens:
        return Tokens(self.token, self.read_token)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return leads_to_loopback(self.host)

    @property
    def url(self) -> str:
        """The address for a browser on this machine, without the token."""
        return f"{'https' if self.cert else 'http'}://{in_url(self.host)}:{self.port}/"


def leads_to_loopback(host: str) -> bool:
    """Whether a name or an address is loopback: only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``[HOST:]PORT``; IPv6 in brackets. Raises InputError."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not port.isdecimal() or int(port) > 65535 or (":" in bare and bare == host) or (not host and ":" in text):
        raise InputError(f"--serve {text}: write PORT, or HOST:PORT with a port from 0 to 65535")
    return bare or LOOPBACK, int(port)
