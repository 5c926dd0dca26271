"""Recordings for the load test: composed sessions, encoded once as VP8 and Opus, with their ground truth in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from speakerlight.core.demo import Demo, DemoSettings, Judge, ScriptedTurn
from speakerlight.core.errors import InputError
from speakerlight.core.geometry import Box
from speakerlight.core.media import Image, Samples
from speakerlight.core.timebase import SAMPLE_RATE, TICK_RATE
from speakerlight.server.rtc.peer import PACKET_MS
from tests.data import DEV, MAKE_GALLERY, compose_gallery

KEY_FRAME_TICKS = 50
"""Interval of key frames, in ticks: a replay cannot make one on request."""

BITS_PER_SECOND = 1_500_000
VIDEO_CLOCK, AUDIO_CLOCK = 90_000, 48_000
"""RTP clock rates in Hz (RFC 7741, RFC 7587)."""


@dataclass(frozen=True)
class Encoded:
    """One encoded frame or audio packet. ``seconds``: its time in the recording."""

    seconds: float
    data: bytes


@dataclass(frozen=True)
class Recording:
    """Packets in order, the length in seconds, and who speaks where and when."""

    video: tuple[Encoded, ...]
    audio: tuple[Encoded, ...]
    seconds: float
    size: tuple[int, int]
    tiles: tuple[Box, ...]
    turns: tuple[ScriptedTurn, ...]

    def judge(self) -> Judge:
        """A judge of events on the recording's own time."""
        return Judge(self.tiles, lambda start, end: [t for t in self.turns if t.start < end and t.end > start])


def demo_recording(path: Path, seed: int, seconds: float, size: tuple[int, int]) -> Path:
    """Two people of the demo."""
    demo = Demo(DemoSettings(2, seed, seconds, *size))
    images = (demo.frame(index) for index in range(round(seconds * TICK_RATE)))
    write(path, images, demo.audio(0, round(seconds * SAMPLE_RATE)), size)
    path.with_suffix(".json").write_text(json.dumps(demo.truth(seconds).as_json()))
    return path


def gallery_recording(path: Path, seed: int, seconds: float, size: tuple[int, int]) -> Path:
    """Two recorded people whose mouths both move. Raises InputError where the clips are not at hand."""
    write(path, *decoded(two_people(path.with_suffix(".mp4"), seed, seconds, size)), size)
    return path


def two_people(path: Path, seed: int, seconds: float, size: tuple[int, int]) -> Path:
    """A gallery of two recorded people with its truth beside it. Raises InputError where the clips are not at hand."""
    clips = sorted((DEV / "people").glob("*.mp4"))
    if not MAKE_GALLERY.is_file() or not clips:
        raise InputError("recorded people are not at hand: ../shared with clips of people is missing")
    options = ["--people", "2", "--vary", "--seed", str(seed), "--seconds", str(seconds)]
    return compose_gallery(path, clips, size, *options)


def decoded(clip: Path) -> tuple[list[Image], Samples]:
    """All frames of a gallery and its audio, 16 kHz."""
    with av.open(str(clip)) as container:
        images = [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]
    with av.open(str(clip)) as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return images, np.concatenate(parts).astype(np.float32)


def write(path: Path, images: Iterable[Image], samples: Samples, size: tuple[int, int]) -> None:
    """Encode frames (25 a second) and audio (16 kHz) as a page would send them."""
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("libvpx", rate=TICK_RATE)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.bit_rate, video.gop_size = BITS_PER_SECOND, KEY_FRAME_TICKS
        video.options = {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "auto-alt-ref": "0"}
        audio = container.add_stream("libopus", rate=AUDIO_CLOCK, layout="mono")
        assert isinstance(audio, av.AudioStream)
        audio.options = {"frame_duration": str(PACKET_MS)}  # which the server's answer asks of a page
        resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_CLOCK)
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        block = SAMPLE_RATE // TICK_RATE
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = index
            container.mux(video.encode(frame))
            piece = np.ascontiguousarray(pcm[None, index * block : (index + 1) * block])
            if piece.size:
                given = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
                given.sample_rate, given.pts = SAMPLE_RATE, index * block
                given.time_base = Fraction(1, SAMPLE_RATE)
                for resampled in resampler.resample(given):
                    container.mux(audio.encode(resampled))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def read(path: Path) -> Recording:
    """A recording with the truth beside it (``.json``, in the form of ``Truth.as_json``)."""
    packets: dict[str, list[Encoded]] = {"video": [], "audio": []}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None and packet.size:
                moment = max(float(packet.pts * packet.time_base), 0.0)
                packets[packet.stream.type].append(Encoded(moment, bytes(packet)))
    truth = json.loads(path.with_suffix(".json").read_text())
    turns = [ScriptedTurn(turn["tile"], turn["start"], turn["end"]) for turn in truth["turns"]]
    seconds = math.ceil(packets["video"][-1].seconds * TICK_RATE + 0.5) / TICK_RATE
    tiles = tuple(Box(*tile) for tile in truth["tiles"])
    video, audio = (tuple(packets[kind]) for kind in ("video", "audio"))
    return Recording(video, audio, seconds, (truth["size"][0], truth["size"][1]), tiles, tuple(turns))
