"""Formats that are no media that can be read: texts that are given by mistake or name media, animated WebP; what to do
instead."""

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
    (b"http://", "this is a list of addresses: give one of them"),
    (b"https://", "this is a list of addresses: give one of them"),
    (b"[internetshortcut]", "this is a link: give the address in it"),
    (b"<asx", "this is a list of addresses: give one of them"),
    (b"xspf.org", "this is a list of addresses: give one of them"),
    (b"v=0", "this is a session description (SDP), which is not followed: give the rtsp or rtp address itself"),
)
"""What such a text has near its beginning, in lower case, and the advice; those in angle brackets may come later."""

_ANIMATED_WEBP = "this is an animated WebP image, which cannot be decoded: make a GIF or a video of it first"


def advice_for(head: bytes) -> str | None:
    """The line for a source that begins with ``head`` and cannot be read; None where that is nothing known."""
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and b"ANIM" in head:
        return _ANIMATED_WEBP
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    is_markup = text.startswith(b"<")
    return next((advice for mark, advice in _ADVICE if text.startswith(mark) or (is_markup and mark in text)), None)
