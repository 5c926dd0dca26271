"""Printable text: one line, whatever a name holds."""

from __future__ import annotations

from speakerlight.printable import printable, printable_lines


def test_control_characters_are_shown_and_all_else_stays() -> None:
    assert printable("a\nb\x1b[31m\u202egnp\u2028\r") == "a\\nb\\x1b[31m\\u202egnp\\u2028\\r"
    kept = "héllo\t😀 👩\u200d👧 עברית \udcff"
    assert printable(kept) == kept
    assert printable_lines("two\nlines\x07") == "two\nlines\\x07"
