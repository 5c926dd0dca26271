"""Trickle ICE: candidates that a client sends after its offer (RFC 8840)."""

from __future__ import annotations

from aiortc.rtcicetransport import candidate_to_aioice
from aiortc.sdp import candidate_from_sdp

from speakerlight.core.errors import InputError
from speakerlight.server.rtc.connection import PeerConnection
from speakerlight.server.rtc.sdp import MAX_CANDIDATES


class IceRestartError(InputError):
    """The client requests an ICE restart, which is not supported."""


async def add_candidates(connection: PeerConnection, fragment: str) -> None:
    """Add the candidates of an SDP fragment (application/trickle-ice-sdpfrag).

    All streams share one transport, so it does not matter which of them a candidate is for. Raises InputError.
    """
    ice = connection.ice
    if ice is None:
        raise InputError("there is no offer to add candidates to")
    lines = fragment.splitlines()
    names = {line.removeprefix("a=ice-ufrag:") for line in lines if line.startswith("a=ice-ufrag:")}
    if names - {ice.remote_name}:
        raise IceRestartError("ICE restarts are not supported: send a new offer")
    given = [line.removeprefix("a=candidate:") for line in lines if line.startswith("a=candidate:")]
    if ice.offered_count + len(given) > MAX_CANDIDATES:
        raise InputError(f"more than {MAX_CANDIDATES} candidates")
    for text in given:
        try:
            candidate = candidate_to_aioice(candidate_from_sdp(text))
        except (ValueError, IndexError, AssertionError, KeyError) as error:
            raise InputError("a candidate is not understood") from error
        await ice.add_remote_candidate(candidate)
