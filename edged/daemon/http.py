"""The API of OpenAI's clients put together."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from edged.config import Config, HttpConfig
from edged.daemon.speech import Speech
from edged.embedding.background import BackgroundEmbedder
from edged.engine.installed import find_engine
from edged.engine.worker import EngineWorker
from edged.errors import ConfigError, MissingExtra, NotFound
from edged.events import Sampling
from edged.pipeline.kept import Keeper
from edged.pipeline.ports import Memory
from edged.pipeline.turn import TurnConductor
from edged.server import Server

try:
    from starlette.types import ASGIApp

    from edged.server.metrics import Meter
    from edged.server.openai.app import make_app
    from edged.server.openai.door import Door, on_this_machine
    from edged.server.openai.parts import Parts
    from edged.server.web.http_server import HttpServer
except ModuleNotFoundError as exc:
    raise MissingExtra("the HTTP API needs an extra: `make setup` or pip install 'edged[web]'") from exc

MOST_PER_ADDRESS = 256
"""All of them come from this machine."""
_HOST_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,252}")


def http_app(
    config: Config,
    server: Server,
    worker: EngineWorker,
    speech: Speech,
    turns: TurnConductor,
    embedder: BackgroundEmbedder,
    memory: Memory,
) -> ASGIApp:
    """The API itself; a door of its own stands wherever it is served. From now on, all that the daemon does counts.

    Raises ConfigError for an alias of no engine, and for names of a container that are none.
    """
    _require_alias(config)
    _hosts(config.http)
    # Not `server` itself: what the paths hold may live to the interpreter's end, where gRPC complains of a server.
    privacy, lifecycle = server.privacy, server.lifecycle
    meter = Meter(worker.status, lambda: privacy().refused_connections, state=lambda: lifecycle.state)
    server.border.on_end = meter.call
    worker.on_measured = meter.answer
    parts = Parts(
        model=worker,
        engines=worker,
        border=server.border,
        state=lambda: lifecycle.state,
        sampling=Sampling(**dataclasses.asdict(config.sampling)),
        alias=config.http.alias,
        alias_engine=config.http.alias_engine,
        keeper=Keeper(turns, memory),
        perceive=turns.perceived,
        recognizer=speech.recognizer,
        voice=speech.voice,
        embedder=embedder,
        meter=meter,
        max_recording_seconds=config.voice.max_recording_seconds,
        docs=_swagger_ui(),
    )
    return make_app(parts)


def _require_alias(config: Config) -> None:
    try:
        if config.http.alias_engine:
            find_engine(config.paths.engines, config.http.alias_engine)
    except NotFound as exc:
        raise ConfigError(f"http.alias_engine: {exc.message}") from exc


def http_server(config: Config, app: ASGIApp) -> HttpServer:
    """For programs on this machine. Nothing is bound yet."""
    admit = partial(on_this_machine, hosts=_hosts(config.http))
    door = Door(app, admit, max_bytes=config.daemon.max_message_bytes)
    return HttpServer(door, key="http.listen", tls=None, most_per_address=MOST_PER_ADDRESS)


def _hosts(config: HttpConfig) -> frozenset[str]:
    """As the header Host has them, without a port. Raises ConfigError."""
    if config.hosts and not config.container:
        raise ConfigError("http.hosts is for containers: leave it out, or set http.container = true inside of one")
    names = [name.strip().lower() for name in config.hosts.split(",")] if config.hosts else []
    if not all(map(_HOST_NAME.fullmatch, names)):
        raise ConfigError(f"http.hosts must be names without a port, with commas between, not {config.hosts[:100]!r}")
    return frozenset(names)


def _swagger_ui() -> Path | None:
    """Of a package that carries version 5, which knows OpenAPI 3.1; nothing of its code is run."""
    found = find_spec("fastapi_offline")
    return Path(found.origin).parent / "static" if found and found.origin else None
