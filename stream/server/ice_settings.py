"""ICE settings: STUN and TURN servers with their credentials (TURN REST too), public addresses, the UDP port range."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from speakerlight.core.errors import InputError
from speakerlight.server.client_address import IpAddress, in_url

DEFAULT_PORTS = {"stun": 3478, "turn": 3478, "turns": 5349}
"""RFC 7064, RFC 7065."""

CREDENTIAL_SECONDS = 12 * 3600
"""Lifetime of a credential made from the shared secret: longer than any session."""

ONLY = "only"

_SERVER = re.compile(
    r"(?P<scheme>stun|turns?):(?:(?P<user>[^:@]*):(?P<credential>[^@]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@?\[\]/]+)(?::(?P<port>\d{1,5}))?(?:\?transport=(?P<transport>udp|tcp))?"
)


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server. ``transport``: udp or tcp, by which a TURN server is reached; turns: TLS over tcp."""

    scheme: str
    host: str
    port: int
    transport: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    @property
    def is_turn(self) -> bool:
        return self.scheme != "stun"

    @property
    def url(self) -> str:
        """The URL as browsers take it, without user and credential."""
        url = f"{self.scheme}:{in_url(self.host)}:{self.port}"
        return f"{url}?transport={self.transport}" if self.is_turn else url

    def for_browser(self) -> dict[str, str]:
        """An ``RTCIceServer`` of the WebRTC API."""
        named = {"username": self.username, "credential": self.credential}
        return {"urls": self.url, **{name: value for name, value in named.items() if value is not None}}


@dataclass(frozen=True)
class IceSettings:
    """How clients reach the server's UDP sockets. Raises InputError for settings that conflict.

    ``public_addresses`` are announced beside the addresses of this machine, or instead of them with ``only_public``.
    ``udp_ports``: first and last port of the range that all sockets are bound in; None: any. ``turn_secret``: shared
    with TURN servers that have no user of their own (the TURN REST API, draft-uberti-behave-turn-rest).
    """

    servers: tuple[IceServer, ...] = ()
    turn_secret: str | None = field(default=None, repr=False)
    public_addresses: tuple[IpAddress, ...] = ()
    only_public: bool = False
    udp_ports: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for server in self.servers:
            if server.is_turn and server.username is None and self.turn_secret is None:
                named = f"{server.scheme}:USER:CREDENTIAL@{server.host}"
                raise InputError(f"--ice-server {server.url}: write {named}, or add --turn-secret")
        if self.turn_secret is not None and not any(each.is_turn and each.username is None for each in self.servers):
            raise InputError("--turn-secret: add an --ice-server turn:HOST without user and credential")

    def servers_at(self, now: float) -> tuple[IceServer, ...]:
        """The servers with a credential each; ``now``: the time of day in seconds since 1970."""
        if self.turn_secret is None:
            return self.servers
        username = f"{int(now) + CREDENTIAL_SECONDS}:speakerlight"
        digest = hmac.digest(self.turn_secret.encode(), username.encode(), "sha1")
        credential = base64.b64encode(digest).decode()
        return tuple(
            replace(server, username=username, credential=credential)
            if server.is_turn and server.username is None
            else server
            for server in self.servers
        )


def parse_ice_server(text: str) -> IceServer:
    """``--ice-server``: stun:HOST[:PORT], turn: or turns:[USER:CREDENTIAL@]HOST[:PORT][?transport=udp|tcp].

    Characters with a meaning of their own in user and credential are percent-encoded. Raises InputError, in which the
    credential is not repeated.
    """
    found = _SERVER.fullmatch(text)
    port = int(found["port"] or DEFAULT_PORTS[found["scheme"]]) if found else 0
    if (
        found is None
        or not 0 < port <= 65535
        or (found["scheme"] == "stun" and (found["user"] is not None or found["transport"]))
        or (found["scheme"] == "turns" and found["transport"] == "udp")
    ):
        shown = re.sub(r":[^@]*@", ":…@", text)
        raise InputError(
            f"--ice-server {shown}: write stun:HOST[:PORT], or turn:USER:CREDENTIAL@HOST[:PORT][?transport=udp|tcp], "
            "or turns: for TLS"
        )
    scheme, host = found["scheme"], found["host"].strip("[]")
    transport = found["transport"] or ("tcp" if scheme == "turns" else "udp")
    if found["user"] is None:
        return IceServer(scheme, host, port, transport)
    return IceServer(scheme, host, port, transport, unquote(found["user"]), unquote(found["credential"]))


def parse_public_address(text: str) -> tuple[IpAddress, bool]:
    """``--public-address``: an IP address, and whether ``,only`` follows it. Raises InputError."""
    address, comma, suffix = text.partition(",")
    try:
        if comma and suffix != ONLY:
            raise ValueError
        return ipaddress.ip_address(address), bool(comma)
    except ValueError:
        raise InputError(
            f"--public-address {text}: give an IP address; with ,{ONLY} after it this machine's own are not announced"
        ) from None


def parse_udp_ports(text: str) -> tuple[int, int]:
    """``--udp-ports A-B``: first and last port. Raises InputError."""
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 65535):
        raise InputError(f"--udp-ports {text}: write FIRST-LAST, such as 50000-50100")
    return int(first), int(last)
