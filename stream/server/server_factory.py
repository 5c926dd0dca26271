"""Serving: a server with the model that its rooms share, and the engines over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from speakerlight.control import Control
from speakerlight.core.framing import View
from speakerlight.engine import Engine
from speakerlight.engine_factory import DetectorPool, open_engine
from speakerlight.model_loading import Models
from speakerlight.people_encoders import PeopleEncoders
from speakerlight.people_file import PeopleFile
from speakerlight.run_settings import RunSettings
from speakerlight.server.listening_socket import Listening
from speakerlight.server.room import Engines
from speakerlight.server.server import Server
from speakerlight.server.shared_model import SharedModel
from speakerlight.sources import LiveSource

OpenEngine = Callable[[Models, bool, Control], AbstractContextManager[Engine]]
"""Opens an engine over models, for a source with or without audio, steered by commands."""


@contextmanager
def serving(
    listening: Listening,
    models: Models,
    open_engine: OpenEngine,
    notify: Callable[[str], None],
    *,
    local: Control | None,
    source: LiveSource | None = None,
    view: View = View.BOXES,
    host: str | None = None,
) -> Iterator[tuple[Server, Models]]:
    """The running server, and the models for this machine's own run, which shares them with the rooms.

    ``local``, ``source``: the commands that steer that run, and its source; None without one. ``view``: what viewers of
    a room get. ``host``: name of this host in a cluster.
    """
    shared = SharedModel(models.model, models.device)

    @contextmanager
    def room_engine(has_audio: bool, control: Control) -> Iterator[Engine]:
        with shared.room() as model, open_engine(replace(models, model=model), has_audio, control) as engine:
            yield engine

    engines = Engines(room_engine, models.model.name, str(models.device))
    made = Server(listening, engines, notify, local=local, view=view, host=host)
    if source is not None:
        made.show(source.frames, has_audio=source.has_audio)
    with made as server:
        for line in greeting(listening) if host is None else ():
            notify(line)
        if local is not None:
            with shared.room() as model:
                yield server, replace(models, model=model)
        else:
            yield server, models


@contextmanager
def open_server(
    settings: RunSettings,
    address: Listening,
    models: Models,
    notify: Callable[[str], None],
    local: Control | None = None,
    source: LiveSource | None = None,
    *,
    host: str | None = None,
) -> Iterator[tuple[Server, Models]]:
    """A running server over ``models`` with what ``settings`` ask for; arguments and result as for ``serving``."""
    detectors = DetectorPool(models.detector_file)
    enrolled = settings.people_file if address.settings.recognizes else None
    people = PeopleFile(enrolled) if enrolled is not None else None

    def open_room_engine(models: Models, has_audio: bool, control: Control) -> AbstractContextManager[Engine]:
        return open_engine(
            settings,
            models,
            has_audio=has_audio,
            control=control,
            detectors=detectors,
            people_file=people,
            updates_people=False,
            encoders=encoders,
        )

    server = serving(
        address, models, open_room_engine, notify, local=local, source=source, view=settings.view, host=host
    )
    with detectors.opened(address.settings.rooms), _people_encoders(models) as encoders:
        if encoders is not None and local is None:  # this machine's own run does not wait for them
            encoders.load()
        with server as running:
            yield running


def _people_encoders(models: Models) -> AbstractContextManager[PeopleEncoders | None]:
    return nullcontext() if models.people is None else PeopleEncoders(models.people)


def greeting(listening: Listening) -> Iterator[str]:
    """Start-up lines for the operator of a server."""
    settings = listening.settings
    yield f"serving on {replace(settings, port=listening.port).url} (Ctrl-C ends it)"
    if not settings.is_loopback and settings.cert is None:
        yield "browsers on other machines give no camera without TLS: add --cert FILE --key FILE"
