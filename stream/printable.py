"""Printable text: names from outside, shown without the control characters that would steer a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but the tab, line separators, and those that reverse the direction of what follows."""


def printable(text: str) -> str:
    """``text`` in one line, control characters as Python writes them (``\\n``, ``\\x1b``)."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def printable_lines(text: str) -> str:
    """Each line of ``text`` as :func:`printable` gives it."""
    return "\n".join(map(printable, text.split("\n")))
