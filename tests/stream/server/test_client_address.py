"""Whose address counts: the connection's, or what trusted proxies vouch for."""

from __future__ import annotations

import pytest

from speakerlight.core.errors import InputError
from speakerlight.server.client_address import client_address, client_key, parse_ip, parse_network

PROXIES = (parse_network("127.0.0.1"), parse_network("10.0.0.0/8"), parse_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("127.0.0.1", ["203.0.113.9", "198.51.100.7", "10.1.2.3"], "198.51.100.7"),
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("fe80::1%eth0", [], "fe80::1"),
        (None, ["198.51.100.7"], None),
    ],
)
def test_a_header_counts_as_far_as_proxies_are_trusted(
    peer: str | None, headers: list[str], client: str | None
) -> None:
    address = client_address(peer, headers, PROXIES)
    assert address == (None if client is None else parse_ip(client))


def test_limits_count_by_address_or_by_the_network_of_one_host() -> None:
    keys = [client_key(parse_ip(text)) for text in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")]
    assert keys == ["192.0.2.1", "192.0.2.2", "2001:db8::/64", "2001:db8::/64"]


@pytest.mark.parametrize("text", ["", "proxy.example", "10.0.0.1/8", "10.0.0.0/33"])
def test_a_proxy_is_an_address_or_a_network(text: str) -> None:
    with pytest.raises(InputError, match="--trusted-proxy"):
        parse_network(text)
