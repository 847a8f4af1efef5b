"""What the daemon adds to its engine: queue, sampling, text, store, gRPC and the client."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from edged.client import Client
from edged.config import Config, load_config
from edged.events import Measured, Text, TextDelta, Usage
from edged.launch import daemon_for

QUESTION = "Write a long story about a lighthouse keeper, his cat and the sea."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question through the daemon, as its client saw it."""

    token_ms: float
    """From the first piece of text to the end of the stream, by generated token."""
    usage: Usage


@asynccontextmanager
async def own_daemon(environ: dict[str, str]) -> AsyncIterator[Client]:
    """A daemon with a fresh state directory of its own."""
    with tempfile.TemporaryDirectory() as state:
        config = _config({**environ, "EDGED_STATE_DIR": state, "EDGED_STORE__KEY_DIRECTORY": state})
        async with daemon_for(config) as daemon, Client(daemon.address) as client:
            yield client


def _config(environ: dict[str, str]) -> Config:
    return load_config({**environ, "EDGED_STORE__KEY": "file"})


async def ask(client: Client, max_tokens: int) -> Answer:
    """Ask in a new conversation and take the time."""
    first = measured = None
    async for event in client.ask([Text(text=QUESTION)], sampling={"temperature": 0.0, "max_tokens": max_tokens}):
        if isinstance(event, TextDelta) and first is None:
            first = time.perf_counter()
        if isinstance(event, Measured):
            measured = event
    ended = time.perf_counter()
    assert first is not None and measured is not None
    return Answer(token_ms=(ended - first) * 1e3 / (measured.usage.completion_tokens - 1), usage=measured.usage)
