"""Redaction: users, passwords, tokens and keys in addresses are kept out of logs, messages and events."""

from __future__ import annotations

import re

HIDDEN = "…"

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)

_BARE_USER = re.compile(r"(?<![\w./:-])[\w.%+-]+:[^\s/@]+@(?=[\w.-]+(:\d+)?/)")
"""User and password of an address whose scheme was forgotten."""

_SECRET_NAMES = "pass|pwd|psw|secret|tok|ticket|key|auth|credential|sig|jwt|session|user|usr|login|account|streamid"
"""What the name of a parameter contains when its value is secret, or half of a secret."""

_PARAMETER = re.compile(
    rf"(?P<name>[\w.%\[\]-]*(?:{_SECRET_NAMES})[\w.%\[\]-]*\s*(?:=|%3d|:(?!//)))(?P<value>[^&;,\s\"'<>#]*)",
    re.IGNORECASE,
)

_KEYED_SCHEMES = ("rtmp", "rtmps", "rtmpt")
"""The last part of such an address is the stream key, which lets anybody send in its owner's name."""

_CLOSING = "'\")]}>,;:."
"""What follows an address in a sentence and is no part of it."""


def redacted(text: str) -> str:
    """``text`` with the secrets of every address in it removed.

    Those are the user and password before the host, also where they hold ``@`` or ``/`` themselves, the values of
    parameters that are named like secrets, what follows a ``#``, and the stream keys of RTMP. A user and password are
    removed without a scheme, too. Text beside addresses stays as it is.
    """
    return _BARE_USER.sub("", _ADDRESS.sub(lambda match: _redacted_address(match[0]), text))


def _redacted_address(address: str) -> str:
    scheme, _, rest = address.partition("://")
    rest, closing = _split_closing(rest)
    rest = _without_user(rest)
    rest = _PARAMETER.sub(lambda match: match["name"] + (HIDDEN if match["value"] else ""), rest)
    rest, mark, fragment = rest.partition("#")
    rest += mark + (HIDDEN if fragment else "")  # it is never sent, and pages keep what is secret there
    if scheme.lower() in _KEYED_SCHEMES:
        rest = _without_stream_key(rest)
    return f"{scheme}://{rest}{closing}"


def _without_user(rest: str) -> str:
    """The host and what follows it. A password may hold ``/``, ``?`` and ``@`` unescaped: the last ``@`` that a host
    can follow ends it."""
    query = re.search(r"[?#]", rest)
    head = rest[: query.start()] if query else rest
    authority, _, path = head.partition("/")
    if "@" in authority and "@" not in path:
        return rest[authority.rindex("@") + 1 :]
    # No @ before the first slash: the password holds one, if what stands before it has a colon that begins no port.
    is_port = re.fullmatch(r"(\[[0-9a-f:]*\]|[^:]*)(:\d*)?", authority, re.IGNORECASE)
    if "@" in rest and "@" not in authority and not is_port:
        return rest[rest.rindex("@") + 1 :]
    return rest[_last_user_end(head) :]


def _last_user_end(head: str) -> int:
    """Index after the last ``@`` of the part before the query that a host can follow; 0 where there is none."""
    found = [match.end() for match in re.finditer(r"@(?=(\[[0-9a-f:]+\]|[\w.-]+)(:\d+)?(/|$))", head, re.IGNORECASE)]
    return found[-1] if found else 0


def _without_stream_key(rest: str) -> str:
    head, slash, key = rest.rpartition("/")
    return f"{head}/{HIDDEN}" if slash and head.count("/") >= 1 and key else rest


def _split_closing(rest: str) -> tuple[str, str]:
    kept = rest.rstrip(_CLOSING)
    return kept, rest[len(kept) :]
