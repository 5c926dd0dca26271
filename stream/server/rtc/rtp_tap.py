"""RTP receiver hooks that aiortc does not offer: arrival times, sender reports, bounded decoding, bandwidth floor.

When the decoder falls behind, packets are dropped here and a key frame is requested.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import av
from aiortc import RTCRtpCodecParameters, RTCRtpReceiver
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rate import RemoteBitrateEstimator
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from speakerlight.server.rtc.encoded_size import encoded_size
from speakerlight.server.rtc.jitter import PromptAudio, PromptVideo, elapsed
from speakerlight.server.timeline import Kind

logger = logging.getLogger(__name__)

Decoded = TypeVar("Decoded", AudioFrame, VideoFrame)

CLOCK_RATES = {Kind.VIDEO: 90_000, Kind.AUDIO: 48_000}
"""Hz, of all video codecs (RFC 3551) and of Opus (RFC 7587), the one audio codec that is accepted."""

NTP_FRACTION = 1 << 32

MAX_UNDECODED = 6
"""Frames that may wait for the decoder: a fifth of a second. Beyond that all frames are dropped until it has caught up,
and a key frame is requested; aiortc would keep them all and fall behind."""


MIN_BITS_PER_SECOND = 200_000
"""aiortc takes packets that a busy machine reads late for a narrow network and requests ever lower rates, down to
2 kbit/s. A network narrower than this shows in losses, which senders heed as well."""


MAX_FRAME_PIXELS = 4096 * 2304
"""The largest frame that is decoded: 4K. VP8 and H.264 allow 16,383 × 16,383, for which a decoder takes gigabytes."""


class RtpTap:
    """Taps one receiver. Stamps are those of its frames: ``frame.pts * frame.time_base`` in seconds.

    ``arrived(kind, stamp)``: called for a packet. ``reported(kind, stamp, sender_time)``: called for a sender report.
    ``decoded``: called with each decoded frame or piece of audio; for video, in aiortc's decoder thread.
    """

    def __init__(
        self,
        receiver: RTCRtpReceiver,
        kind: Kind,
        arrived: Callable[[Kind, float], None],
        reported: Callable[[Kind, float, float], None],
        decoded: Callable[[Any], None],
    ) -> None:
        self._kind, self._arrived, self._reported = kind, arrived, reported
        # aiortc has no public interface for any of this: the transport calls these two methods by name, and a frame's
        # pts counts from the mapper's origin. version_guard.py refuses versions that were not tried.
        self._mapper: Any = vars(receiver)["_RTCRtpReceiver__timestamp_mapper"]
        self._losses: Any = vars(receiver)["_RTCRtpReceiver__nack_generator"]
        self._video = PromptVideo()
        failed: threading.Event = vars(receiver)["_RTCRtpReceiver__decoder_error"]
        self._undecoded = _VideoQueue(self._video, self._mapper, decoded, failed)
        if kind is Kind.VIDEO:
            vars(receiver)["_RTCRtpReceiver__jitter_buffer"] = self._video
            vars(receiver)["_RTCRtpReceiver__decoder_queue"] = self._undecoded
            bandwidth = vars(receiver)["_RTCRtpReceiver__remote_bitrate_estimator"]
            vars(receiver)["_RTCRtpReceiver__remote_bitrate_estimator"] = _BandwidthFloor(bandwidth)
        else:
            vars(receiver)["_RTCRtpReceiver__jitter_buffer"] = PromptAudio()
            vars(receiver)["_RTCRtpReceiver__decoder_queue"] = _AudioQueue(decoded)
        self._request_key_frame = receiver._send_rtcp_pli
        self._catching_up = False
        self._forward_packet = receiver._handle_rtp_packet
        self._forward_report = receiver._handle_rtcp_packet
        receiver._handle_rtp_packet = self._packet  # type: ignore[method-assign]
        receiver._handle_rtcp_packet = self._report  # type: ignore[method-assign]
        self._newest = 0

    async def _packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        stamp = self._stamp(packet.timestamp)
        if stamp is not None:
            self._arrived(self._kind, stamp)
        if self._kind is Kind.VIDEO and await self._is_behind(packet.ssrc):
            return
        await self._forward_packet(packet, arrival_time_ms=arrival_time_ms)

    async def _is_behind(self, ssrc: int) -> bool:
        waiting = self._undecoded.qsize()
        if self._catching_up and not waiting:
            self._catching_up = False
            # Dropped packets are not lost ones: nothing waits for them or requests them again.
            self._video.restart()
            self._losses.max_seq = None
            self._losses.missing.clear()
            await self._request_key_frame(ssrc)
        elif waiting > MAX_UNDECODED:
            self._catching_up = True
        return self._catching_up

    async def _report(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket):
            stamp = self._stamp(packet.sender_info.rtp_timestamp)
            if stamp is not None:
                self._reported(self._kind, stamp, packet.sender_info.ntp_timestamp / NTP_FRACTION)
        await self._forward_report(packet)

    def _stamp(self, rtp_time: int) -> float | None:
        """Seconds on the time axis of the frames' pts; None before the first frame, whose pts is 0."""
        if self._mapper._origin is None:
            return None
        self._newest += elapsed(self._mapper._origin + self._newest, rtp_time)
        return self._newest / CLOCK_RATES[self._kind]


class _BandwidthFloor:
    """aiortc's bandwidth estimate, but never below ``MIN_BITS_PER_SECOND``."""

    def __init__(self, estimator: RemoteBitrateEstimator) -> None:
        self._estimator = estimator

    def add(self, **packet: int) -> tuple[int, list[int]] | None:
        """As ``RemoteBitrateEstimator.add``: bits a second and of which sources; None when nothing changed."""
        if (estimate := self._estimator.add(**packet)) is None:
            return None
        bits_per_second, sources = estimate
        return max(bits_per_second, MIN_BITS_PER_SECOND), sources


class _PacketDecoder(Generic[Decoded]):
    """The decoder of the codec that packets come with; hands the frames, all of type ``kind``, to ``decoded``."""

    def __init__(self, kind: type[Decoded], decoded: Callable[[Decoded], None]) -> None:
        self._kind: type[Decoded] = kind
        self._decoded: Callable[[Decoded], None] = decoded
        self._codec: str | None = None
        self._decoder: Decoder | None = None

    def decode(self, codec: RTCRtpCodecParameters, encoded: JitterFrame) -> bool:
        """Decode ``encoded``. False: it is damaged, which is logged."""
        if self._decoder is None or codec.name != self._codec:
            self._codec, self._decoder = codec.name, get_decoder(codec)
        try:
            frames = self._decoder.decode(encoded)
        except av.FFmpegError as error:
            logger.info("%s data cannot be decoded: %s", codec.name, error)
            return False
        for frame in frames:
            if isinstance(frame, self._kind):
                self._decoded(frame)
        return True


class _AudioQueue(queue.Queue[Any]):
    """aiortc's queue in front of its audio decoder thread; decodes on the loop at once, for ``decoded``.

    A packet takes 0.1 ms to decode; to hand it to a thread and the audio back takes longer.
    """

    def __init__(self, decoded: Callable[[AudioFrame], None]) -> None:
        super().__init__()
        self._decoder = _PacketDecoder(AudioFrame, decoded)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is None:  # the end, for aiortc's thread
            super().put(item, block, timeout)
        else:
            self._decoder.decode(*item)


class _VideoQueue(queue.Queue[Any]):
    """aiortc's queue in front of its video decoder thread: each frame with all others that its last packet completed.

    The thread, which gets from it, decodes inside ``get`` and hands the frames to ``decoded``. It would hand them to
    the loop otherwise, from where they would have to go to another thread again. ``failed``: set after damaged data, so
    that aiortc requests a key frame.
    """

    def __init__(
        self,
        jitter_buffer: PromptVideo,
        mapper: Any,
        decoded: Callable[[VideoFrame], None],
        failed: threading.Event,
    ) -> None:
        super().__init__()
        self._video, self._mapper, self._failed = jitter_buffer, mapper, failed
        self._decoder = _PacketDecoder(VideoFrame, decoded)
        self._is_too_large = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block:
            return super().get(block)
        while (item := super().get()) is not None:
            if not self._decoder.decode(*item):
                self._failed.set()
        return None  # the end, for aiortc's thread

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is None:  # the end
            super().put(item, block, timeout)
            return
        codec, frame = item
        self._put_decodable(codec, frame)
        for rest in self._video.rest():
            rest.timestamp = self._mapper.map(rest.timestamp)
            self._put_decodable(codec, rest)

    def _put_decodable(self, codec: RTCRtpCodecParameters, frame: JitterFrame) -> None:
        size = encoded_size(codec.name, frame.data)
        if size is not None:
            was_too_large, self._is_too_large = self._is_too_large, size[0] * size[1] > MAX_FRAME_PIXELS
            if self._is_too_large and not was_too_large:
                logger.warning("frames of %d × %d pixels are too large and are not decoded", *size)
        if not self._is_too_large:
            super().put((codec, frame))
