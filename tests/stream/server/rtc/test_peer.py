"""What an answer asks a browser for."""

from __future__ import annotations

import asyncio

from aiortc import RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from speakerlight.server.browser_source import BrowserSource
from speakerlight.server.ice_settings import IceSettings
from speakerlight.server.relay import Relay
from speakerlight.server.rtc.peer import PACKET_MS, Peer

ASKS = f"a=ptime:{PACKET_MS}"


async def sections_of_an_answer(*tracks: AudioStreamTrack | VideoStreamTrack) -> dict[str, str]:
    """By kind of media."""
    browser = RTCPeerConnection()
    browser.createDataChannel("events")
    for track in tracks:
        browser.addTrack(track)
    await browser.setLocalDescription(await browser.createOffer())
    peer = Peer("test", IceSettings(), None, connected=lambda: None, lost=lambda: None, message=lambda _: [])
    try:
        source = BrowserSource(has_audio=await peer.offered(browser.localDescription.sdp))
        answer = await peer.answer(source, Relay(asyncio.get_running_loop()).subscribe())
    finally:
        await peer.close()
        await browser.close()
    return {section.partition(" ")[0]: section for section in answer.split("m=")[1:]}


def test_audio_is_asked_for_in_long_packets() -> None:
    sections = asyncio.run(sections_of_an_answer(VideoStreamTrack(), AudioStreamTrack()))
    assert sections["audio"].splitlines().count(ASKS) == 1
    assert not any(ASKS in section for kind, section in sections.items() if kind != "audio")


def test_video_alone_is_answered_as_it_is() -> None:
    sections = asyncio.run(sections_of_an_answer(VideoStreamTrack()))
    assert not any("ptime" in section for section in sections.values())
