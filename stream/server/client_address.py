"""Client addresses: who sent a request, also behind a trusted reverse proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from speakerlight.core.errors import InputError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CLIENT_PREFIX_IPV6 = 64
"""A host gets a whole /64 of IPv6 addresses (RFC 6177): limits count the network, not the address."""


def in_url(host: str) -> str:
    """A name or an address as it stands in a URL: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def parse_ip(text: str) -> IpAddress | None:
    """An IP address as it appears in a socket name or a header, IPv4-mapped IPv6 as IPv4; None for anything else."""
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_network(text: str) -> Network:
    """``--trusted-proxy``: an address or a network such as 10.0.0.0/8. Raises InputError."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise InputError(
            f"--trusted-proxy {text}: give an address or a network, such as 127.0.0.1 or 10.0.0.0/8"
        ) from None


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> IpAddress | None:
    """The address of the client of one request.

    ``peer``: the other end of the connection. ``forwarded_for``: the X-Forwarded-For headers, in order. Each proxy
    appends the address it received the request from, so the list is read from its end for as long as the address that
    vouches for it is ``trusted``; what stands before that could have been written by anyone.
    """
    address = parse_ip(peer or "")
    entries = [entry for header in forwarded_for for entry in header.split(",")]
    while entries and address is not None and any(address in network for network in trusted):
        if (previous := parse_ip(entries.pop())) is None:
            break
        address = previous
    return address


def client_key(address: IpAddress | None) -> str:
    """Key of per-client limits: an IPv4 address, or the /64 network of an IPv6 address."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, CLIENT_PREFIX_IPV6), strict=False))
    return str(address)
