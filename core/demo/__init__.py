"""People drawn and voiced by the program itself: no camera, no file, and the truth about who speaks is known."""

from speakerlight.core.demo.clip import talking_clip
from speakerlight.core.demo.gallery import Demo, DemoSettings
from speakerlight.core.demo.judge import Judge, Verdict
from speakerlight.core.demo.script import Truth, Turn

__all__ = ["Demo", "DemoSettings", "Judge", "Truth", "Turn", "Verdict", "talking_clip"]
