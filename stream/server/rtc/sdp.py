"""SDP offers: validation of their content before aiortc acts on it."""

from __future__ import annotations

from aiortc.sdp import SessionDescription

from speakerlight.core.errors import InputError

NOT_UNDERSTOOD = "the offer's SDP is not understood"

MAX_CANDIDATES = 64
"""A machine with ten addresses has fewer, for video, audio and events together."""


def offered_kinds(sdp: str) -> list[str]:
    """Kinds of media in the offer, sorted. Raises InputError."""
    try:
        media = SessionDescription.parse(sdp).media
    except Exception as error:  # any exception of aiortc's parser
        raise InputError(NOT_UNDERSTOOD) from error
    if sum(len(each.ice_candidates) for each in media) > MAX_CANDIDATES:
        raise InputError(f"the offer has more than {MAX_CANDIDATES} candidates")
    return sorted(each.kind for each in media if each.kind != "application")
