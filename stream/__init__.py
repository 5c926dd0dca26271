"""Live active-speaker detection: who is speaking, from lips and audio together, in real time.

The public interface, in full:

* :class:`SpeakerDetector`: push your own frames and audio, receive events.
* :func:`run`: a whole session, as the command line runs it, with outputs of your own (:class:`Output`).
* :class:`RunSettings`, :class:`View`, :class:`ServeSettings`: what a session is asked to do.
* :data:`Event` and its kinds: what is reported, as in ``--events``; ``to_json()`` gives the line.
* :class:`Frame`, :class:`AudioChunk`, :class:`Snapshot`, :class:`FaceScore`, :class:`Box`, :class:`Lag`,
  :class:`SpeakingState`: the values that outputs and events hold.
* :class:`InputError`: something the caller gave cannot be used; its message is one line. :class:`StageError`: a stage
  failed; :class:`OutputError`: an output was lost.

Each name is loaded when it is first used: importing the package loads no other library.
"""

from importlib import import_module

TYPE_CHECKING = False  # importing typing would take most of the time
if TYPE_CHECKING:
    from speakerlight.core.errors import InputError
    from speakerlight.core.events import (
        ControlEvent,
        Event,
        LagEvent,
        LoadEvent,
        MergeEvent,
        PersonEvent,
        ScoresEvent,
        SessionEvent,
        SpeakerEvent,
        SummaryEvent,
    )
    from speakerlight.core.framing import View
    from speakerlight.core.geometry import Box
    from speakerlight.core.media import AudioChunk, Frame
    from speakerlight.core.snapshot import FaceScore, Lag, Snapshot, SpeakingState
    from speakerlight.detector import SpeakerDetector
    from speakerlight.engine import StageError
    from speakerlight.outputs.output import Output, OutputError
    from speakerlight.run_settings import RunSettings
    from speakerlight.server.serve_settings import ServeSettings
    from speakerlight.session import run

    __version__: str

__all__ = [
    "AudioChunk",
    "Box",
    "ControlEvent",
    "Event",
    "FaceScore",
    "Frame",
    "InputError",
    "Lag",
    "LagEvent",
    "LoadEvent",
    "MergeEvent",
    "Output",
    "OutputError",
    "PersonEvent",
    "RunSettings",
    "ScoresEvent",
    "ServeSettings",
    "SessionEvent",
    "Snapshot",
    "SpeakerDetector",
    "SpeakerEvent",
    "SpeakingState",
    "StageError",
    "SummaryEvent",
    "View",
    "__version__",
    "run",
]

_MODULES = {
    "core.errors": ["InputError"],
    "core.events": [
        "ControlEvent",
        "Event",
        "LagEvent",
        "LoadEvent",
        "MergeEvent",
        "PersonEvent",
        "ScoresEvent",
        "SessionEvent",
        "SpeakerEvent",
        "SummaryEvent",
    ],
    "core.framing": ["View"],
    "core.geometry": ["Box"],
    "core.media": ["AudioChunk", "Frame"],
    "core.snapshot": ["FaceScore", "Lag", "Snapshot", "SpeakingState"],
    "detector": ["SpeakerDetector"],
    "engine": ["StageError"],
    "outputs.output": ["Output", "OutputError"],
    "run_settings": ["RunSettings"],
    "server.serve_settings": ["ServeSettings"],
    "session": ["run"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
