"""From the first import that starts threads to the last answer: loading, serving, draining."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from edged import __version__
from edged.config import Config
from edged.daemon.camera import camera_of
from edged.daemon.content_log import ContentLog
from edged.daemon.database import keep_retention, key_source, retention
from edged.daemon.incognito import IncognitoMemory, passing_store
from edged.daemon.lifeline import Lifeline
from edged.daemon.notify import Notifier, ping_watchdog
from edged.daemon.speech import Speech
from edged.daemon.stop import StopRequest, follow_starter
from edged.daemon.tools import tool_statuses, toolbox
from edged.daemon.vision import sight
from edged.daemon.voice import VoiceComposer
from edged.embedding.background import BackgroundEmbedder
from edged.engine.worker import EngineWorker
from edged.events import Sampling
from edged.pipeline.enrolment import Enrolment
from edged.pipeline.phone.agent import PhoneAgent
from edged.pipeline.ports import Memory
from edged.pipeline.room import Room
from edged.pipeline.timers import Timers
from edged.pipeline.tools.toolbox import Toolbox
from edged.pipeline.turn import TurnConductor
from edged.privacy.guard import Guard
from edged.server import Server
from edged.server.device_registry import DeviceRegistry
from edged.store import AsyncStore
from edged.vision.camera import Camera
from edged.vision.sight import Sight

if TYPE_CHECKING:  # extras
    from starlette.types import ASGIApp

    from edged.daemon.lan import Lan
    from edged.server.web.http_server import HttpServer
    from edged.server.wyoming.server import WyomingServer

FLUSH_SECONDS = 0.2
"""What the last answers on the web port get to leave the process."""

_log = logging.getLogger(__name__)


async def live(config: Config, guard: Guard, lifeline: Lifeline, secret: str = "") -> bool:
    """Serve until asked to stop; whatever was started has ended when this returns or raises, with one exception.

    secret: of `read_secret`, which opens the database.
    Returns whether an engine is still being loaded: nothing can interrupt that but the end of the process.
    Raises EdgedError when a part cannot start.
    """
    stop = StopRequest()
    # Last in, first out: what serves goes before what it needs.
    async with AsyncExitStack() as stack:
        store = await AsyncStore.open(config.paths.state, key_source(config, secret), retention(config))
        stack.push_async_callback(store.close)
        passing = await passing_store()
        stack.push_async_callback(passing.close)
        memory = IncognitoMemory(ContentLog(store) if config.logging.content else store, passing)
        worker = EngineWorker(config.engine, config.paths.engines)
        stack.push_async_callback(worker.close)
        speech = Speech(config)
        stack.callback(speech.close)
        eyes = sight(config)
        stack.callback(eyes.close)
        camera, timers = camera_of(config), Timers()
        turns = _turns(config, worker, memory, speech, eyes, toolbox(config, worker, store, camera, eyes, timers))
        composer = VoiceComposer(config, speech, turns, store, worker, timers)
        room = composer.room()
        registry = await DeviceRegistry.open(store)
        lan = await _lan(config, registry)
        server = Server(
            turns=turns,
            conversations=store,
            engines=worker,
            privacy=guard.status,
            sampling=Sampling(**dataclasses.asdict(config.sampling)),
            max_message_bytes=config.daemon.max_message_bytes,
            registry=registry,
            desk=lan.desk if lan else None,
            issuer=lan.authority if lan else None,
            keys=lan.keys if lan else None,
            composer=composer,
            room=room,
            speakers=Enrolment(speech.speakers, store),
            vision=eyes,
            agent=PhoneAgent(worker, eyes),
            tools=tool_statuses(config),
            incognito=memory,
            camera=camera,
        )
        wyoming = await _wyoming(config, speech, room)
        for port in wyoming:
            stack.callback(port.close)
        others = [f"{port.listen()} (Wyoming)" for port in wyoming]
        embedder = BackgroundEmbedder()
        stack.callback(embedder.close)
        api = await _api(config, server, worker, speech, turns, embedder, memory)
        if lan:
            stack.push_async_callback(lan.close, 0)
            others.append(lan.listen(server, api if config.http.lan else None))
        http = _http(config, api)
        if http and config.http_address:
            stack.push_async_callback(http.close, 0)
            place = f"http://{http.listen(*config.http_address)}"
            others.append(f"{place} (HTTP)")
            _log.info("Uvicorn running on %s", place)  # a line that people look for
        addresses = await server.start(
            config.socket_path, config.tcp_address, lan=lan.grpc if lan else None, others=tuple(others)
        )
        _log.info("edged %s listens on %s", __version__, ", ".join(addresses))
        try:
            parts = _Parts(worker, server, room, camera, registry, wyoming, lan, http, store, memory)
            await _load_and_serve(config, parts, stop, lifeline)
        except ExceptionGroup as group:
            # The first thing that went wrong took the others down.
            raise group.exceptions[0] from group
    return worker.is_running


def _turns(
    config: Config, worker: EngineWorker, memory: Memory, speech: Speech, eyes: Sight, toolbox: Toolbox
) -> TurnConductor:
    return TurnConductor(
        worker,
        memory,
        config.store.max_text_bytes,
        system_prompt=config.assistant.system_prompt,
        tells_time=config.assistant.tell_time,
        speech=speech.recognizer,
        max_recording_seconds=config.voice.max_recording_seconds,
        vision=eyes,
        toolbox=toolbox,
    )


async def _lan(config: Config, registry: DeviceRegistry) -> Lan | None:
    """None unless it is wanted; without it, the extra need not be there."""
    if not config.lan.enabled:
        return None
    from edged.daemon.lan import Lan

    return await asyncio.to_thread(Lan, config, registry, asyncio.get_running_loop())


async def _api(
    config: Config,
    server: Server,
    worker: EngineWorker,
    speech: Speech,
    turns: TurnConductor,
    embedder: BackgroundEmbedder,
    memory: Memory,
) -> ASGIApp | None:
    """None unless it is configured for this machine or the LAN; without it, the extra need not be there."""
    if config.http.lan and not config.lan.enabled:
        _log.warning("http.lan serves nobody while lan.enabled is false: set it, or start with --lan")
    if config.http_address is None and not (config.http.lan and config.lan.enabled):
        return None
    from edged.daemon.http import http_app

    return await asyncio.to_thread(http_app, config, server, worker, speech, turns, embedder, memory)


def _http(config: Config, api: ASGIApp | None) -> HttpServer | None:
    """None unless a port on this machine is configured for it."""
    if api is None or config.http_address is None:
        return None
    from edged.daemon.http import http_server

    return http_server(config, api)


async def _wyoming(config: Config, speech: Speech, room: Room) -> Sequence[WyomingServer]:
    """The ports that are configured, none of them bound yet. Without any, the extra need not be there."""
    if not config.wyoming_addresses:
        return ()
    from edged.daemon.wyoming import ports

    return await asyncio.to_thread(ports, config, speech, room)


class _Parts(NamedTuple):
    """What runs until the daemon ends."""

    worker: EngineWorker
    server: Server
    room: Room
    camera: Camera | None
    registry: DeviceRegistry
    wyoming: Sequence[WyomingServer]
    lan: Lan | None
    http: HttpServer | None
    store: AsyncStore
    memory: IncognitoMemory

    @property
    def is_busy(self) -> bool:
        """Somebody is answered or talked with, or listened to, or looks."""
        status = self.worker.status()
        calls = status.active_requests + status.queued_requests + self.server.conversations_by_voice
        return calls > 0 or self.room.is_wanted or (self.camera is not None and self.camera.is_wanted)


async def _load_and_serve(config: Config, parts: _Parts, stop: StopRequest, lifeline: Lifeline) -> None:
    notifier = Notifier(config.supervisor.notify_socket)
    linger, watchdog = config.daemon.linger_seconds, config.supervisor.watchdog_seconds
    async with asyncio.TaskGroup() as tasks:
        following = follow_starter(lifeline, stop, linger_seconds=linger, busy=lambda: parts.is_busy)
        helpers = [tasks.create_task(following)]
        ports = [tasks.create_task(port.run()) for port in parts.wyoming]
        helpers.append(tasks.create_task(keep_retention(parts.store, parts.registry.note)))
        always = (parts.registry, parts.memory, parts.lan, parts.http, parts.camera)
        helpers += [tasks.create_task(part.run()) for part in always if part]
        try:
            await _start_unless_stopped(parts.worker, stop)
            if not stop.wanted.is_set():
                parts.server.serve()
                if parts.http:
                    _say_loaded(parts.worker)
                notifier.send("READY=1", f"STATUS=serving {config.engine.default}")
                lifeline.ready(f"unix:{config.socket_path}")
                _log.info("serving %s", config.engine.default)
                helpers.append(tasks.create_task(_live_in(parts.room, always=config.voice.listen)))
                helpers.append(tasks.create_task(parts.worker.failed()))
                beat = parts.worker.last_beat
                helpers.append(tasks.create_task(ping_watchdog(notifier, seconds=watchdog, last_beat=beat)))
                await stop.wanted.wait()
        finally:
            notifier.send("STOPPING=1")
            for port in ports:
                port.cancel()
            await _drain(parts.server, config.daemon.drain_seconds, stop)
            for door in (parts.lan, parts.http):
                if door:
                    await door.close(FLUSH_SECONDS)
            for helper in helpers:
                helper.cancel()


def _say_loaded(worker: EngineWorker) -> None:
    """As other servers of such models do: people look for the line."""
    for info in worker.models():
        if info.is_default:
            bits = re.split("[ ,]", info.precision, maxsplit=1)[0]  # of most of its weights
            _log.info("Model %s loaded successfully with %s quantization.", info.name, bits)


async def _start_unless_stopped(worker: EngineWorker, stop: StopRequest) -> None:
    """Return when the engine is loaded or nobody wants it any more. Raises what loading raises."""
    starting, stopping = asyncio.create_task(worker.start()), asyncio.create_task(stop.wanted.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)


async def _live_in(room: Room, *, always: bool) -> None:
    with room.listening() if always else nullcontext():
        await room.run()


async def _drain(server: Server, seconds: float, stop: StopRequest) -> None:
    """Let answers under way finish, for `seconds` or until somebody is impatient."""
    draining = asyncio.create_task(server.drain(seconds))
    impatience = asyncio.create_task(stop.urgent.wait())
    await asyncio.wait({draining, impatience}, return_when=asyncio.FIRST_COMPLETED)
    impatience.cancel()
    if not draining.done():
        await server.border.finish(0)
    await draining
