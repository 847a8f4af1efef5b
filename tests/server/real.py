"""The server over the real engine and the real store, in a folder of its own."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edged.client import Client
from edged.config import EngineConfig
from edged.engine.worker import EngineWorker
from edged.events import Sampling
from edged.pipeline.tools.toolbox import Toolbox
from edged.pipeline.turn import TurnConductor
from edged.server import Server
from edged.store import AsyncStore, KeySource
from tests.server.device_store import no_devices
from tests.server.scripted import privacy


@asynccontextmanager
async def everything_real(
    engines: Path, default: str = "tiny", toolbox: Toolbox | None = None
) -> AsyncIterator[Client]:
    """A client of a daemon with the engines of that folder; at temperature 0, answers of 8 tokens."""
    with tempfile.TemporaryDirectory(prefix="edged") as name:  # short: a socket's path has 108 bytes
        run_dir = Path(name)
        store = await AsyncStore.open(run_dir, KeySource(kind="file", directory=run_dir))
        worker = EngineWorker(EngineConfig(default=default, threads=1), [engines])
        server = Server(
            turns=TurnConductor(worker, store, 1_000_000, toolbox=toolbox),
            conversations=store,
            engines=worker,
            privacy=privacy,
            sampling=Sampling(temperature=0, max_tokens=8),
            max_message_bytes=4_000_000,
            registry=no_devices(),
        )
        (address,) = await server.start(run_dir / "s")
        await worker.start()
        server.serve()
        async with Client(address) as client:
            yield client
        await server.drain(5)
        await worker.close()
        await store.close()
