"""People drawn and voiced by the program itself: no camera and no file needed, and who speaks is known exactly."""

from speakerlight.core.demo.clip import talking_clip
from speakerlight.core.demo.gallery import Demo, DemoSettings
from speakerlight.core.demo.judge import Judge, Verdict
from speakerlight.core.demo.script import ScriptedTurn, Truth

__all__ = ["Demo", "DemoSettings", "Judge", "ScriptedTurn", "Truth", "Verdict", "talking_clip"]
