"""One-pass reading: frames and audio in order of time from what can be read once only, a stream or a pipe.

Packets are read ahead in a thread, and those of either stream wait for the other: some containers keep seconds of video
before the audio of the same time. What waits is bounded; then one stream goes on without the other.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import av.error
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from speakerlight.core.media import AudioChunk, Frame
from speakerlight.sources.audio_choice import audio_stream, video_stream
from speakerlight.sources.codec_change import CodecChange
from speakerlight.sources.decode import UNTIMED, AudioConverter
from speakerlight.sources.display import FrameConverter
from speakerlight.sources.frame_order import FrameOrder
from speakerlight.sources.gapless_audio import GaplessAudio
from speakerlight.sources.notices import Notices
from speakerlight.sources.packets import demuxed, flushing, shifted, stamped
from speakerlight.sources.source import AudioChoice, due
from speakerlight.sources.timestamps import JUMP_SECONDS, LONE_JUMP_SECONDS, TimestampRepair

PACKETS_AHEAD = 600
"""Packets read ahead: some 8 s of video with audio."""

WAITING_SECONDS = 15.0
WAITING_BYTES = 128 << 20
"""The most that waits for the other stream: HLS segments are up to 10 s long."""

PATIENCE_SECONDS = 6.0
"""A live stream of which nothing has come for so long, while the other goes on, is not waited for."""

POLL_SECONDS = 0.1

STOP_SECONDS = 0.5

DEFAULT_RATE = 25.0

IDENTIFYING_PACKETS = 8
"""The first packets by which a recording is recognised when it is connected to again."""


class PacketReader:
    """Reads the packets of ``streams`` in a thread of its own, a bounded number ahead. Closes ``container``."""

    def __init__(self, container: InputContainer, streams: list[Stream]) -> None:
        self._container, self._streams = container, streams
        self._ready: queue.Queue[Packet[Any] | None] = queue.Queue(PACKETS_AHEAD)
        self._closed = threading.Event()
        self.error: Exception | None = None
        """Why reading ended, when it was no regular end."""
        self._thread = threading.Thread(target=self._read, name="read", daemon=True)
        self._thread.start()

    def get(self, timeout_seconds: float) -> Packet[Any] | None:
        """The next packet. Raises ``queue.Empty`` when none came in time; None at the end, also after an error."""
        packet = self._ready.get(timeout=timeout_seconds)
        if packet is None:
            self._ready.put(None)
        return packet

    def close(self) -> None:
        """End the thread; one that is stuck in a read closes the container when it returns."""
        self._closed.set()
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive():
            self._container.close()

    def _read(self) -> None:
        try:
            for packet in demuxed(self._container, self._streams):
                if not self._put(packet):
                    break
        except Exception as error:  # carried to the thread that takes the packets
            self.error = error
        self._put(None)
        if self._closed.is_set():
            self._container.close()

    def _put(self, packet: Packet[Any] | None) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(packet, timeout=POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False


class _Lane:
    """One stream: packets that wait to be decoded, and items that were decoded."""

    def __init__(self, decode: Callable[[Packet[Any]], Iterator[Frame | AudioChunk]]) -> None:
        self._decode = decode
        self.packets: deque[Packet[Any]] = deque()
        self.items: deque[Frame | AudioChunk] = deque()
        self.bytes = 0
        self.lacking_since: float | None = None
        self.is_absent = False

    def add(self, packet: Packet[Any]) -> None:
        self.packets.append(packet)
        self.bytes += packet.size
        self.lacking_since, self.is_absent = None, False

    def fill(self) -> bool:
        """Decode until there is an item; False when there are no more packets."""
        while not self.items and self.packets:
            packet = self.packets.popleft()
            self.bytes -= packet.size
            self.items.extend(self._decode(packet))
        return bool(self.items)

    @property
    def is_full(self) -> bool:
        stamps = [packet.dts for packet in (self.packets[0], self.packets[-1])] if self.packets else []
        known = [stamp for stamp in stamps if stamp is not None]
        span = float((known[-1] - known[0]) * self.packets[0].time_base) if len(known) == 2 else 0.0
        return span > WAITING_SECONDS or self.bytes > WAITING_BYTES


class OnePass:
    """The media of ``container`` from its first packet on: iterate once. Time 0 is the earliest start.

    ``live``: a stream that stays away is given up after PATIENCE_SECONDS. Iterating ends at the end of the media, or
    when ``stop`` is set; ``error`` then reports whether the media was broken off.
    """

    def __init__(
        self,
        container: InputContainer,
        *,
        video: bool,
        audio: bool,
        choice: AudioChoice,
        notices: Notices,
        live: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        self._video = video_stream(container, live=live) if video else None
        self._audio = audio_stream(container, choice, video_stream(container, live=live)) if audio else None
        self._streams: list[Stream] = [stream for stream in (self._video, self._audio) if stream is not None]
        self.has_video, self.has_audio = self._video is not None, self._audio is not None
        self.is_ogg = container.format.name == "ogg"
        self._is_live = live
        self._patience = PATIENCE_SECONDS if live else float("inf")
        self._stop = stop or threading.Event()
        self._repair: TimestampRepair[Packet[Any]] = TimestampRepair(
            lambda line: notices.report("clock", line),
            JUMP_SECONDS if self._audio else LONE_JUMP_SECONDS,
            lambda line: notices.report("gap", line) if self._audio else None,
        )
        self._channel = choice.channel_index
        self._origin: float | None = None
        self._frame_time = 0.0
        self._lanes: dict[int, _Lane] = {}
        is_joinable = container.format.name == "mpegts"
        self._codecs = {stream.index: CodecChange(notices.of("codec")) for stream in self._streams if is_joinable}
        if self._video is not None:
            self._frames, self._order = FrameConverter(self._video), FrameOrder(notices.of("rate"))
            self._lanes[self._video.index] = _Lane(self._decoded_video)
        if self._audio is not None:
            has_times = container.format.name not in UNTIMED
            self._resampled = AudioConverter(self._channel, notices.of("scale"), has_times=has_times)
            self._line = GaplessAudio(start=0.0)
            self._lanes[self._audio.index] = _Lane(self._decoded_audio)
        self.identity: tuple[tuple[int, int | None, int], ...] = ()
        """What the first packets look like: the same recording gives the same."""
        self.reached_byte = 0
        """Where the media read so far ends in the container; 0 where it is not known."""
        self._reader = PacketReader(container, self._streams)
        self.is_over = False
        """Whether there are no more packets."""

    @property
    def frame_size(self) -> tuple[int, int] | None:
        if self._video is None:
            return None
        context = self._video.codec_context
        return self._frames.size or ((context.width, context.height) if context.width else None)

    @property
    def frame_rate(self) -> float | None:
        rate = self._video.average_rate if self._video is not None else None
        return float(rate) if rate else None

    @property
    def error(self) -> Exception | None:
        return self._reader.error

    @property
    def has_begun(self) -> bool:
        """Whether any packet was read."""
        return bool(self.identity)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the first media; False when none came in time, or reading ended."""
        end = time.monotonic() + timeout_seconds
        while not self.is_over and not any(lane.packets for lane in self._lanes.values()):
            if time.monotonic() > end or self._stop.is_set():
                return False
            self._read(POLL_SECONDS)
        return self.has_begun and any(lane.packets for lane in self._lanes.values())

    def close(self) -> None:
        """Stop reading. Must not be called while another thread iterates."""
        self._reader.close()

    def __iter__(self) -> Iterator[Frame | AudioChunk]:
        audio = self._lanes.get(self._audio.index) if self._audio is not None else None
        while not self._stop.is_set():
            lacking = [lane for lane in self._lanes.values() if not lane.fill()]
            if not self.is_over and any(self._is_worth_waiting(lane) for lane in lacking):
                self._read(POLL_SECONDS)
                continue
            items = [lane.items for lane in self._lanes.values() if lane.items]
            if not items and self.is_over:
                return
            if not items:
                self._read(POLL_SECONDS)
                continue
            item = min(items, key=lambda each: due(each[0])).popleft()
            is_broken_off = self.is_over and self._is_live  # its audio may come when it is connected again
            if isinstance(item, Frame) and audio in lacking and self._line.end and not is_broken_off:
                yield from self._line.fill(item.time)  # audio that ended or stays away is silence
            yield item

    def _is_worth_waiting(self, lane: _Lane) -> bool:
        """Whether packets of ``lane`` may still come before those that wait in the other one are too many."""
        if lane.is_absent or any(other.is_full for other in self._lanes.values() if other is not lane):
            return False
        now = time.monotonic()
        lane.lacking_since = now if lane.lacking_since is None else lane.lacking_since
        lane.is_absent = now - lane.lacking_since > self._patience
        return not lane.is_absent

    def _read(self, timeout_seconds: float) -> None:
        try:
            packet = self._reader.get(timeout_seconds)
        except queue.Empty:
            return
        if packet is None:
            self.is_over = True
            for repaired in self._repair.flush():
                self._add(shifted(repaired))
            if self._reader.error is not None:  # no packets came that flush the decoders
                for stream in self._streams:
                    self._add(flushing(stream))
        elif packet.size:
            self.reached_byte = max(self.reached_byte, packet.pos + packet.size if packet.pos else 0)
            if len(self.identity) < IDENTIFYING_PACKETS:
                self.identity += ((packet.stream_index, packet.dts, packet.size),)
            for repaired in self._repair.push(stamped(packet)):
                self._add(shifted(repaired))
        else:
            self._add(packet)

    def _add(self, packet: Packet[Any]) -> None:
        lane = self._lanes.get(packet.stream_index)
        if lane is not None:
            if self._origin is None and packet.size:
                start = packet.dts if packet.pts is None else packet.pts
                self._origin = 0.0 if start is None else float(start * packet.time_base)
            lane.add(packet)

    def _decoded_video(self, packet: Packet[Any]) -> Iterator[Frame]:
        step = 1 / (self.frame_rate or DEFAULT_RATE)
        frames = (frame for frame in self._decoded(packet) if isinstance(frame, VideoFrame))
        for stamp, frame in self._order.push(frames, is_end=not packet.size):
            moment = self._frame_time + step if stamp is None else stamp - (self._origin or 0.0)
            if moment > self._frame_time or not self._frames.size:
                self._frame_time = max(moment, 0.0)
                yield Frame(self._frame_time, self._frames.make(frame))

    def _decoded_audio(self, packet: Packet[Any]) -> Iterator[AudioChunk]:
        for frame in self._decoded(packet):
            if isinstance(frame, AudioFrame):
                for moment, samples in self._resampled.make(frame):
                    yield from self._line.place(moment - (self._origin or 0.0), samples)

    def _decoded(self, packet: Packet[Any]) -> list[Any]:
        codec = self._codecs.get(packet.stream_index)
        try:
            return list(packet.decode() if codec is None else codec.decode(packet))
        except (av.error.FFmpegError, ValueError):
            return []
