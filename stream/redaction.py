"""Keeps the users and passwords that stand in streams' addresses out of logs and messages."""

from __future__ import annotations

import re


def redacted(text: str) -> str:
    """``text`` without the user and password of any URL in it."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)
