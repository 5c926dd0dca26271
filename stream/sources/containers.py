"""Media containers: files, pipes and network addresses opened by FFmpeg with as few protocols as needed.

FFmpeg takes what stands before a colon for a protocol, and a playlist may name any address. So files are opened by
``file:`` and every source gets an explicit whitelist of protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer

from speakerlight.sources.addresses import STDIN, scheme
from speakerlight.sources.http_requests import opened_http
from speakerlight.sources.pipe_input import PipeInput, pipe_input
from speakerlight.sources.wav_length import understates_length

LOCAL_PROTOCOLS = "file,crypto,data"
"""A file on disk, a playlist included, reads files only."""

CONTENT_PROTOCOLS = "data"
"""Content that was read already, from a pipe for example, names no files: it may come from anywhere."""

WEB_PROTOCOLS = "http,https,httpproxy,tls,tcp,crypto,data"

STREAM_PROTOCOLS = {
    "http": WEB_PROTOCOLS,
    "https": WEB_PROTOCOLS,
    "hls": f"hls,{WEB_PROTOCOLS}",
    "rtsp": f"rtsp,rtp,srtp,udp,{WEB_PROTOCOLS}",
    "rtsps": f"rtsp,rtsps,rtp,srtp,udp,{WEB_PROTOCOLS}",
    "rtp": "rtp,srtp,udp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "rtmpt": "rtmpt,ffrtmphttp,http,tcp",
    "srt": "srt",
    "udp": "udp",
    "tcp": "tcp",
    "tls": "tls,tcp",
    "unix": "unix",
}
"""What each kind of address needs, by scheme. None may read files."""

DEMUXER_OPTIONS = {"merge_pmt_versions": "1"}
"""Streams of MPEG-TS that move to other PIDs in the middle go on; FFmpeg would make new ones, which nobody reads."""


def open_file(path: str | Path, start: int = 0, end: int | None = None) -> InputContainer:
    """Open a file by its name, whatever characters or bytes it holds. Raises FFmpeg's errors, OSError, ValueError.

    ``start``, ``end``: the bytes that are read; None: to its end.
    """
    if start or end:
        name = f"subfile,,start,{start},end,{end or 0},,:file:{path}"
        return av.open(name, options=DEMUXER_OPTIONS | {"protocol_whitelist": f"subfile,{LOCAL_PROTOCOLS}"})
    options = DEMUXER_OPTIONS | {"protocol_whitelist": LOCAL_PROTOCOLS}
    if understates_length(Path(path)):
        options["ignore_length"] = "1"
    return av.open(f"file:{path}", options=options)


def open_pipe(spec: str, report: Callable[[str], None]) -> PipeInput | BinaryIO:
    """Open standard input or a named pipe, to be read once. Raises OSError."""
    pipe = open(0, "rb", 0, closefd=False) if spec == STDIN else Path(spec).open("rb", 0)  # noqa: SIM115  # read to its end
    return pipe_input(pipe, report)


def open_content(content: PipeInput | BinaryIO) -> InputContainer:
    """Open the media that ``content`` holds. Raises as :func:`open_file`."""
    return av.open(content, "r", options=DEMUXER_OPTIONS | {"protocol_whitelist": CONTENT_PROTOCOLS})


def open_stored(address: str, timeout_seconds: float, report: Callable[[str], None]) -> InputContainer:
    """Open an MP4 file by its http address, on disk once all of it has come where its index follows its media.

    ``timeout_seconds``: longest wait for the server. Raises as :func:`open_file`, also HTTPException.
    """
    return open_content(pipe_input(opened_http(address, timeout_seconds), report))


def open_address(address: str, options: dict[str, str], timeout: tuple[float, float]) -> InputContainer:
    """Open a network address. ``timeout``: seconds to connect and to wait for a packet. Raises as :func:`open_file`."""
    allowed = STREAM_PROTOCOLS.get(scheme(address), "")
    given = DEMUXER_OPTIONS | options | ({"protocol_whitelist": allowed} if allowed else {})
    return av.open(address, options=given, timeout=timeout)
