"""Names of sources: what ``--video`` and ``--audio`` mean."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from urllib.parse import quote, urlsplit

from speakerlight.core.errors import InputError

STDIN = "-"

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def plain(spec: str) -> str:
    """``spec`` as the sources take it. Raises InputError.

    A ``file:`` address becomes the path that it names. That of a stream gets its scheme in lower case, as FFmpeg wants
    it, and its spaces escaped; anything else stays.
    """
    if is_stream(spec):
        name, mark, rest = spec.partition("://")
        return name.lower() + mark + re.sub(r"\s", lambda space: quote(space[0]), rest.strip())
    if spec[:5].lower() != "file:" or Path(spec).exists():
        return spec
    if spec[5:7] != "//":
        return spec[5:]
    address = urlsplit(spec)
    if address.netloc.lower() not in ("", "localhost"):
        raise InputError(f"{spec}: the file lies on another machine ({address.netloc}); copy it here, or mount it")
    path = spec[7 + len(address.netloc) :]
    if Path(path).exists():
        return path  # written without escapes, with its own % or #
    from urllib.request import url2pathname  # here, because it brings http and ssl along

    return url2pathname(path.partition("#")[0].partition("?")[0] if "%" in path else path)


def is_stream(spec: str) -> bool:
    """Whether ``spec`` is the address of a network stream."""
    match = _SCHEME.match(spec)
    return match is not None and match[1].lower() != "file"


def is_pipe(spec: str) -> bool:
    """Whether ``spec`` can be read once only: standard input, a named pipe, a socket or the like."""
    return spec == STDIN or _mode_is(spec, stat.S_ISFIFO)


def is_device(spec: str) -> bool:
    """Whether ``spec`` is the path of a device, such as ``/dev/video0``."""
    return _mode_is(spec, stat.S_ISCHR)


def _mode_is(spec: str, check: object) -> bool:
    try:
        return bool(check(Path(spec).stat().st_mode))  # type: ignore[operator]
    except (OSError, ValueError):
        return False


def scheme(address: str) -> str:
    match = _SCHEME.match(address)
    return match[1].lower() if match else ""
