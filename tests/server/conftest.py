"""A real server on a unix socket, with a scripted engine behind it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edged.client import Client
from edged.events import Sampling
from edged.pipeline.enrolment import Enrolment
from edged.pipeline.phone.agent import PhoneAgent
from edged.pipeline.tools.toolbox import Toolbox
from edged.pipeline.turn import TurnConductor
from edged.server import Server
from edged.vision.camera import Camera
from edged.vision.sight import Sight
from tests.pipeline.people import DictPeople, LoudnessEncoder
from tests.server.device_store import no_devices
from tests.server.scripted import DictMemory, ScriptedModel, privacy
from tests.server.wyoming_ears import Ears

MAX_TEXT_BYTES = 100_000
MAX_MESSAGE_BYTES = 1_000_000


@dataclass
class Daemon:
    socket: Path
    model: ScriptedModel = field(default_factory=ScriptedModel)
    memory: DictMemory = field(default_factory=DictMemory)
    encoder: LoudnessEncoder = field(default_factory=LoudnessEncoder)
    people: DictPeople = field(default_factory=DictPeople)
    sight: Sight | None = None
    camera: Camera | None = None
    toolbox: Toolbox | None = None

    def __post_init__(self) -> None:
        self.server = Server(
            turns=TurnConductor(self.model, self.memory, MAX_TEXT_BYTES, vision=self.sight, toolbox=self.toolbox),
            conversations=self.memory,
            engines=self.model,
            privacy=privacy,
            sampling=Sampling(top_k=40),
            max_message_bytes=MAX_MESSAGE_BYTES,
            registry=no_devices(),
            speakers=Enrolment(self.encoder, self.people),
            vision=self.sight,
            agent=PhoneAgent(self.model, self.sight),
            camera=self.camera,
        )

    @property
    def address(self) -> str:
        return f"unix:{self.socket}"


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """pytest's own directories are too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="edged") as name:
        yield Path(name)


@pytest.fixture
async def loading(run_dir: Path) -> AsyncIterator[Daemon]:
    """A daemon that listens and is still loading its engine."""
    daemon = Daemon(run_dir / "s")
    await daemon.server.start(daemon.socket)
    yield daemon
    await daemon.server.drain(0)


@pytest.fixture
async def daemon(loading: Daemon) -> Daemon:
    loading.server.serve()
    return loading


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[Client]:
    async with Client(daemon.address) as client:
        yield client


@pytest.fixture
async def ears() -> AsyncIterator[Ears]:
    async with Ears().open() as ears:
        yield ears
