"""WebRTC viewer: a client that receives a room's composed view and audio."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiortc import RTCSessionDescription

from speakerlight.core.errors import InputError
from speakerlight.server.client_address import IpAddress
from speakerlight.server.ice_settings import IceSettings
from speakerlight.server.rtc.connection import PeerConnection
from speakerlight.server.rtc.peer import stop_parts
from speakerlight.server.rtc.sdp import NOT_UNDERSTOOD, offered_kinds
from speakerlight.server.rtc.tracks import FedTrack
from speakerlight.server.rtc.trickle import add_candidates
from speakerlight.server.rtc.udp_ports import PortsTakenError

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 2.0


class Viewer:
    """Belongs to the server's loop. ``lost`` is called once, when the connection ends."""

    def __init__(
        self, name: str, ice: IceSettings, client: IpAddress | None, *, has_audio: bool, lost: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.video = FedTrack("video", loop)
        self.audio = FedTrack("audio", loop) if has_audio else None
        self.was_connected = False
        self._name, self._lost = name, lost
        self._connection = PeerConnection(ice, client)
        self._connection.on("connectionstatechange", self._state_changed)

    async def answer(self, sdp: str) -> str:
        """The answer to the client's offer. Raises InputError and PortsTakenError."""
        kinds = offered_kinds(sdp)
        if kinds not in (["video"], ["audio", "video"]):
            raise InputError("the offer needs one video stream to receive, and at most one audio stream")
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            self._connection.addTrack(self.video)
            if self.audio is not None and "audio" in kinds:
                self._connection.addTrack(self.audio)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except PortsTakenError:
            raise
        except Exception as error:  # anything else that an SDP makes aiortc raise
            raise InputError(NOT_UNDERSTOOD) from error
        return self._connection.localDescription.sdp

    async def trickle(self, fragment: str) -> None:
        """As ``add_candidates``."""
        await add_candidates(self._connection, fragment)

    async def close(self) -> None:
        self.video.finish()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()
        except Exception:  # as in Peer
            await stop_parts(self._connection)

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        logger.info("%s: WebRTC is %s", self._name, state)
        if state == "connected":
            self.was_connected = True
        elif state in ("failed", "closed"):
            self._lost()
