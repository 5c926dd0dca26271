"""Choice of streams: the main video of a container, and the audio track that belongs to it and carries a voice."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import av.error
import av.logging
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from speakerlight.core.audio.vad import VoiceActivity
from speakerlight.core.errors import InputError
from speakerlight.core.media import Samples
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from speakerlight.sources.channels import QUIET_RATIO, ChannelMixer
from speakerlight.sources.decode import channels_of
from speakerlight.sources.packets import demuxed
from speakerlight.sources.source import AudioChoice

PROBE_SECONDS = 30.0
"""So much of a recording is searched for a voice when there is a choice of tracks or channels."""

PROBE_STEP_SECONDS = 2.0
"""The preferred track is judged every this many seconds: talk usually begins at once, and then nothing more is read."""

VOICE_SECONDS = 0.5
"""Speech that makes a track one that carries a voice."""

NOISE_SECONDS = 8.0
"""So much is listened to before a loud channel without a voice is dropped from the mix: two people with a microphone
each may speak one after the other."""

LOUD_RATIO = 0.1
"""A channel without a voice that has at least this share of the voice's power disturbs it. Noise of the power of the
voice in a second channel leaves a third of the marks; 16 dB less leaves them all (measured on one person)."""

ALIKE = 0.9
"""Channels that correlate by more carry the same."""

VOICED = 0.5
"""Speech probability that counts."""

FAULTY_PACKETS = 50
"""A track of which so many packets in a row cannot be decoded is one that cannot be decoded."""

logger = logging.getLogger(__name__)


def video_stream(container: InputContainer, *, live: bool = False) -> VideoStream | None:
    """The moving video that can be decoded; cover art of a music file is none.

    Decodes in as many threads as the codec likes; ``live`` only in such as delay no frame.
    """
    moving = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    if not moving:
        return None
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in moving else moving[0]
    stream.thread_type = "SLICE" if live else "AUTO"
    return stream


def audio_tracks(container: InputContainer, video: VideoStream | None) -> list[AudioStream]:
    """The audio tracks that have a decoder: first the one that belongs to ``video``, then the default ones."""
    tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
    related = container.streams.best("audio", related=video)
    return sorted(tracks, key=lambda s: (s is not related, not s.disposition & Disposition.default, s.index))


def audio_stream(
    container: InputContainer, choice: AudioChoice | None = None, video: VideoStream | None = None
) -> AudioStream | None:
    """The track that ``choice`` names, else the first of :func:`audio_tracks`. Raises InputError."""
    if choice is not None and choice.track is not None:
        return _named_track(container, choice.track)
    return next(iter(audio_tracks(container, video)), None)


def _named_track(container: InputContainer, number: int) -> AudioStream:
    tracks = container.streams.audio
    if not 1 <= number <= len(tracks):
        raise InputError(f"--audio-track {number}: there are {len(tracks)} audio tracks")
    if tracks[number - 1].codec_context is None:
        raise InputError(f"--audio-track {number}: it cannot be decoded")
    return tracks[number - 1]


def undecodable(open_again: Callable[[], InputContainer], container: InputContainer) -> list[str]:
    """``audio track 2 (apac)`` for every video and audio stream without a decoder; ``open_again`` opens the same."""
    if all(stream.codec_context is not None for stream in (*container.streams.video, *container.streams.audio)):
        return []
    names = _codec_names(open_again)
    kinds = (("video", container.streams.video), ("audio", container.streams.audio))
    return [
        f"{kind} track {number} ({names.get(stream.index, 'unknown codec')})"
        for kind, streams in kinds
        for number, stream in enumerate(streams, 1)
        if stream.codec_context is None
    ]


def _codec_names(open_again: Callable[[], InputContainer]) -> dict[int, str]:
    """FFmpeg names the codecs that it does not know in a warning only."""
    kept = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture(local=True) as lines:
            open_again().close()
    finally:
        av.logging.set_level(kept)
    found = (re.search(r"stream (\d+) \(\w+: \w+ \((\w+)", line) for _, _, line in lines)
    return {int(match[1]): match[2] for match in found if match}


@dataclass
class _Track:
    """What was decoded of one track so far: blocks of [channels, n] at 16 kHz."""

    blocks: list[np.ndarray] = field(default_factory=list)
    seconds: float = 0.0
    faults: int = 0
    resampler: AudioResampler = field(default_factory=lambda: AudioResampler("flt", None, SAMPLE_RATE))

    @property
    def channels(self) -> int:
        return max((len(block) for block in self.blocks), default=0)

    def add(self, frame: AudioFrame) -> None:
        frame.pts = None
        for piece in self.resampler.resample(frame):
            self.blocks.append(channels_of(piece))
            self.seconds += piece.samples / SAMPLE_RATE

    def mono(self, channel: int | None) -> Samples:
        mixer = ChannelMixer(channel)
        return np.concatenate([np.zeros(0, np.float32), *(mixer.mix(block) for block in self.blocks)])

    def undisturbed(self) -> int | None:
        """The only channel with a voice, where another one is loud without any; None: all may be mixed."""
        if self.channels < 2:
            return None
        channels = [self.mono(channel) for channel in range(self.channels)]
        power = np.array([float(np.square(each, dtype=np.float64).mean()) for each in channels])
        heard: list[int] = []
        for channel in np.flatnonzero(power > QUIET_RATIO * power.max()).tolist():
            if not any(_are_alike(channels[channel], channels[other]) for other in heard):
                heard.append(channel)
        voiced = [channel for channel in heard if len(heard) > 1 and _has_voice(channels[channel])]
        is_disturbed = len(voiced) == 1 and any(
            power[c] >= LOUD_RATIO * power[voiced[0]] for c in heard if c not in voiced
        )
        return voiced[0] if is_disturbed else None


@dataclass(frozen=True)
class ProbedAudio:
    """The stream index of the audio to use and its channel (None: the mix); ``why``: a line where it is not the
    container's own choice."""

    index: int
    channel: int | None = None
    why: str | None = None


def probe_audio(container: InputContainer, choice: AudioChoice) -> ProbedAudio | None:
    """Listen to the beginning of a recording: the first track, or channel, in order of preference with a voice in it.

    Without a voice anywhere it is the preferred track, if that can be decoded, else the first that can. None where no
    audio can be decoded. Consumes ``container``.
    """
    streams = audio_tracks(container, video_stream(container))
    if choice.track is not None:
        streams = [_named_track(container, choice.track)]
    if not streams:
        return None
    tracks = {stream.index: _Track() for stream in streams}
    has_choice = len(streams) > 1 or (choice.channel is None and streams[0].codec_context.channels > 1)
    for _ in _listened(container, streams, tracks) if has_choice else ():
        first = tracks[streams[0].index]
        if first.faults or not _has_voice(first.mono(choice.channel_index)):
            continue
        if choice.channel is not None or first.undisturbed() is None:
            return ProbedAudio(streams[0].index, choice.channel_index)
        if first.seconds >= NOISE_SECONDS:
            break
    return (
        _with_voice(container, streams, tracks, choice)
        if has_choice
        else ProbedAudio(streams[0].index, choice.channel_index)
    )


def _with_voice(
    container: InputContainer, streams: Sequence[AudioStream], tracks: dict[int, _Track], choice: AudioChoice
) -> ProbedAudio | None:
    order = {stream.index: number for number, stream in enumerate(container.streams.audio, 1)}
    usable = [stream for stream in streams if tracks[stream.index].blocks]
    for stream in usable:
        track = tracks[stream.index]
        single = range(track.channels) if choice.channel is None and track.channels > 1 else ()
        undisturbed = track.undisturbed() if choice.channel is None else None
        for channel in (choice.channel_index, *single) if undisturbed is None else (undisturbed,):
            if _has_voice(track.mono(channel)):
                why = (
                    f"there is a voice in audio track {order[stream.index]} only" if stream is not streams[0] else None
                )
                if channel is not None and choice.channel is None:
                    why = f"there is a voice in channel {channel + 1} of audio track {order[stream.index]} only"
                return ProbedAudio(stream.index, channel, why)
    if not usable:
        return None
    why = None if usable[0] is streams[0] else f"audio track {order[streams[0].index]} cannot be decoded"
    return ProbedAudio(usable[0].index, choice.channel_index, why)


def _listened(container: InputContainer, streams: Sequence[AudioStream], tracks: dict[int, _Track]) -> Iterator[None]:
    """Decode up to PROBE_SECONDS of every track; stops between to be asked whether that is enough."""
    for other in container.streams:
        if other not in streams:
            other.discard = Discard.all
    due = PROBE_STEP_SECONDS
    try:
        for packet in demuxed(container, streams):
            track = tracks[packet.stream.index]
            if track.faults < FAULTY_PACKETS and track.seconds < PROBE_SECONDS:
                _decode(packet, track)
            if max(each.seconds for each in tracks.values()) >= due:
                due += PROBE_STEP_SECONDS
                yield
            if all(each.seconds >= PROBE_SECONDS or each.faults >= FAULTY_PACKETS for each in tracks.values()):
                return
            if max(each.seconds for each in tracks.values()) >= PROBE_SECONDS + PROBE_STEP_SECONDS:
                return
    except (av.error.FFmpegError, ValueError) as error:
        logger.debug("audio probe ended: %s", error)


def _decode(packet: Packet[Any], track: _Track) -> None:
    try:
        for frame in packet.decode():
            if isinstance(frame, AudioFrame):
                track.add(frame)
        track.faults = 0
    except (av.error.FFmpegError, ValueError):
        track.faults += 1


def _are_alike(first: Samples, second: Samples) -> bool:
    return bool(abs(np.corrcoef(first, second)[0, 1]) > ALIKE)


def _has_voice(samples: Samples) -> bool:
    return sum(speech >= VOICED for speech in VoiceActivity().push(samples)) >= VOICE_SECONDS * TICK_RATE
