"""Opening of sources: ``--video`` and ``--audio`` as a recording or a live source; the demo where no camera is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from speakerlight.core.errors import InputError
from speakerlight.devices import cameras
from speakerlight.redaction import redacted
from speakerlight.run_settings import RunSettings
from speakerlight.sources import (
    AudioChoice,
    LiveSource,
    MediaReader,
    SourceOptions,
    is_demo,
    is_recorded,
    open_live,
    open_reader,
)
from speakerlight.sources.addresses import plain
from speakerlight.sources.joined import JoinedSource

CAMERA = "0"
"""``--video`` when it is not given."""

DEMO = "demo"
"""``--video`` when it is not given and there is no camera."""

DEMO_SECONDS = 30.0
"""Duration of the demo, which has no end of its own, unless ``--duration`` is given."""

Source = MediaReader | LiveSource


def open_source(settings: RunSettings, notify: Callable[[str], None]) -> tuple[RunSettings, Source]:
    """Open what ``settings`` names: a :class:`MediaReader` for ``--fast``, else a :class:`LiveSource`.

    Return the settings with the video and the duration filled in, and the source. Raises InputError.
    """
    video = CAMERA if settings.video is None else plain(settings.video)
    filled = replace(settings, video=video, audio=None if settings.audio is None else plain(settings.audio))
    options = SourceOptions(AudioChoice(settings.audio_track, settings.audio_channel), notify)
    if is_demo(video) and settings.duration_seconds is None:
        filled = replace(filled, duration_seconds=DEMO_SECONDS)
    if settings.fast:
        return filled, open_reader(video, filled.audio, options)
    try:
        return filled, open_live(video, filled.audio, options)
    except InputError:
        if settings.video is not None or cameras():
            raise
    notify("no camera found: showing the demo instead; --video names another source")
    return open_source(replace(settings, video=DEMO), notify)


def opens_slowly(settings: RunSettings) -> bool:
    """Whether opening takes long enough to load models meanwhile: devices, streams and the demo.

    A recording opens at once, so an unreadable one is reported before anything is loaded.
    """
    return settings.video is None or is_demo(settings.video) or not is_recorded(settings.video)


def source_names(settings: RunSettings, source: Source) -> tuple[str, str | None]:
    """Video and audio as the session event names them, without passwords."""
    video = redacted(settings.video or CAMERA)
    if not source.has_audio:
        return video, None
    if settings.audio is not None:
        return video, redacted(settings.audio)
    return video, source.name.rpartition(" + ")[2] if isinstance(source, JoinedSource) else video
