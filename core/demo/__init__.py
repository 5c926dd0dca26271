"""People drawn and voiced by the program itself: no camera, no file, and the truth about who speaks is known."""

from core.demo.clip import talking_clip
from core.demo.gallery import Demo, DemoSettings
from core.demo.judge import Judge, Verdict
from core.demo.script import Truth, Turn

__all__ = ["Demo", "DemoSettings", "Judge", "Truth", "Turn", "Verdict", "talking_clip"]
