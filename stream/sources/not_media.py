"""Text formats that are given for media by mistake, or that name media which is not followed: what to do instead."""

from __future__ import annotations

HEAD_BYTES = 4096
"""What is looked at of a source's beginning."""

_ADVICE = (
    (
        b"<mpd",
        "this is a DASH manifest (.mpd), and DASH is not supported: give the HLS address (.m3u8) of the same stream, "
        "or make a file of it first (ffmpeg -i ADDRESS FILE.mp4)",
    ),
    (
        b"<smoothstreamingmedia",
        "this is a Smooth Streaming manifest, which is not supported: give the HLS address (.m3u8) of the same stream",
    ),
    (b"<html", "this is a web page: give the address of the video or stream in it"),
    (b"<!doctype html", "this is a web page: give the address of the video or stream in it"),
    (
        b"#extm3u",
        "nothing that this playlist names can be read: from a pipe it may name nothing, from the network no files, "
        "from disk files only; give the address that it came from, or what it names",
    ),
    (b"ffconcat", "this list of files cannot be followed: from a pipe it may name none, from disk only such beside it"),
    (b"[playlist]", "this is a list of addresses: give one of them"),
    (b"<asx", "this is a list of addresses: give one of them"),
    (b"xspf.org", "this is a list of addresses: give one of them"),
    (b"v=0", "this is a session description (SDP), which is not followed: give the rtsp or rtp address itself"),
)
"""What such a text has near its beginning, in lower case, and the advice; those in angle brackets may come later."""


def advice_for(head: bytes) -> str | None:
    """The line for a source that begins with ``head`` and cannot be read; None where that is no known text."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    is_markup = text.startswith(b"<")
    return next((advice for mark, advice in _ADVICE if text.startswith(mark) or (is_markup and mark in text)), None)
