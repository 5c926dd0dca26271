"""Redaction: users and passwords go, everything else stays."""

from __future__ import annotations

from speakerlight.redaction import redacted


def test_users_and_passwords_of_addresses_go() -> None:
    assert redacted("rtsp://user:secret@camera.local/1") == "rtsp://camera.local/1"
    assert redacted("rtsp://a:b@c/1 + srt://d:e@f:9") == "rtsp://c/1 + srt://f:9"


def test_all_else_stays() -> None:
    for text in ("http://host/path?mail=a@b", "clips/me@home.mp4", "0", "demo:people=3"):
        assert redacted(text) == text
