"""The test daemon: edged's own server and store around an engine that follows a script, behind a relay that watches."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from clients.conformance.checks import Observer
from clients.conformance.ears import Composer
from clients.conformance.engine import ScriptedEngine
from clients.conformance.relay import Relay
from edged.events import Sampling
from edged.pipeline.turn import TurnConductor
from edged.records import PrivacyStatus
from edged.server import Server
from edged.server.device_registry import DeviceRegistry
from edged.store import AsyncStore, KeySource

MAX_MESSAGE_BYTES = 4_000_000
MAX_TEXT_BYTES = 1_000_000


class WatchedDaemon(NamedTuple):
    """What listens, and who watches."""

    address: str
    """HOST:PORT on loopback, without TLS."""
    observer: Observer


@asynccontextmanager
async def watched_daemon(
    port: int = 0, lan_ports: tuple[int, int] | None = None, tell: Callable[[str], None] = lambda line: None
) -> AsyncIterator[WatchedDaemon]:
    """Serves for as long as the block lasts; what it stores is gone then.

    lan_ports: where paired devices are served by gRPC, and where they pair. tell: what a client has to know for that.
    Raises AlreadyRunning, MissingExtra.
    """
    async with AsyncExitStack() as stack:
        # Short: a socket's path has 108 bytes.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edged")))
        engine = ScriptedEngine()
        store = await AsyncStore.open(folder, KeySource(kind="file", directory=folder))
        stack.push_async_callback(store.close)
        turns = TurnConductor(engine, store, MAX_TEXT_BYTES)
        registry = await DeviceRegistry.open(store)
        observer = Observer(engine)
        if lan_ports:
            from clients.conformance.lan import PairingWatch, lan_doors, open_doors

            lan = lan_doors(folder, registry, lan_ports)
        server = Server(
            turns=turns,
            conversations=store,
            engines=engine,
            privacy=lambda: PrivacyStatus(enforcements=(), refused_connections=0, content_logging=False),
            sampling=Sampling(),
            max_message_bytes=MAX_MESSAGE_BYTES,
            registry=registry,
            desk=lan.desk if lan_ports else None,
            issuer=lan.authority if lan_ports else None,
            composer=Composer(turns),
        )
        target = (await server.start(folder / "s", lan=lan.grpc if lan_ports else None))[0]
        stack.push_async_callback(server.drain, 0)
        server.serve()
        if lan_ports:
            observer.pairing = PairingWatch(registry, target, tell)
            await stack.enter_async_context(open_doors(lan, server, observer.pairing))
        relay = Relay(target, observer)
        stack.push_async_callback(relay.stop)
        yield WatchedDaemon(f"127.0.0.1:{await relay.start(port)}", observer)
