"""The API of OpenAI's clients put together."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path

from edged.config import Config
from edged.daemon.speech import Speech
from edged.engine.worker import EngineWorker
from edged.errors import MissingExtra
from edged.events import Sampling
from edged.pipeline.turn import TurnConductor
from edged.server import Server

try:
    from edged.server.openai.app import Parts, make_app
    from edged.server.openai.door import Door
    from edged.server.web.http_server import HttpServer
except ModuleNotFoundError as exc:
    raise MissingExtra("the HTTP API needs an extra: `make setup` or pip install 'edged[web]'") from exc

MOST_PER_ADDRESS = 256
"""All of them come from this machine."""


def http_server(
    config: Config, server: Server, worker: EngineWorker, speech: Speech, turns: TurnConductor
) -> HttpServer:
    """Nothing is bound yet."""
    parts = Parts(
        model=worker,
        engines=worker,
        border=server.border,
        state=lambda: server.lifecycle.state,
        sampling=Sampling(**dataclasses.asdict(config.sampling)),
        alias=config.http.alias,
        alias_engine=config.http.alias_engine,
        perceive=turns.perceived,
        speech=speech.recognizer,
        voice=speech.voice,
        max_recording_seconds=config.voice.max_recording_seconds,
        docs=_swagger_ui(),
    )
    app = Door(make_app(parts), max_bytes=config.daemon.max_message_bytes)
    return HttpServer(app, key="http.listen", tls=None, most_per_address=MOST_PER_ADDRESS)


def _swagger_ui() -> Path | None:
    found = find_spec("swagger_ui_bundle")
    if found is None or found.origin is None:
        return None
    return next(iter(sorted(Path(found.origin).parent.glob("vendor/*"))), None)
