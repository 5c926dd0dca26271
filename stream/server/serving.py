"""A server with all that its rooms need: the model that they share, and engines over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from stream.engine import Engine
from stream.models import Models
from stream.server.batching import SharedModel
from stream.server.room import Engines
from stream.server.server import Server
from stream.server.settings import ServeSettings

OpenEngine = Callable[[Models, bool], AbstractContextManager[Engine]]
"""An engine over models, for a source with or without sound."""


@contextmanager
def serving(
    settings: ServeSettings, models: Models, open_engine: OpenEngine, say: Callable[[str], None], *, local: bool
) -> Iterator[tuple[Server, Models]]:
    """The running server, and the models as the ``local`` run, if there is one, shares them with the rooms.

    Raises InputError where the address or the certificate is of no use.
    """
    with SharedModel(models.model) as shared:

        @contextmanager
        def room_engine(has_sound: bool) -> Iterator[Engine]:
            with shared.room() as model, open_engine(replace(models, model=model), has_sound) as engine:
                yield engine

        engines = Engines(room_engine, models.model.name, str(models.device))
        with Server(settings, engines, say, local=local) as server:
            for line in _greeting(settings, server.port):
                say(line)
            if local:
                with shared.room() as model:
                    yield server, replace(models, model=model)
            else:
                yield server, models


def _greeting(settings: ServeSettings, port: int) -> Iterator[str]:
    yield f"serving on {replace(settings, port=port).url} (Ctrl-C ends it)"
    if not settings.is_loopback and settings.cert is None:
        yield "browsers on other machines give no camera without TLS: add --cert FILE --key FILE"
