"""The gRPC server: its services, its limits, and how it comes up and goes down."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

import edged
from edged.events import Sampling
from edged.pipeline.phone.agent import PhoneAgent
from edged.pipeline.room import Room
from edged.pipeline.turn import TurnConductor
from edged.records import DaemonState, DaemonStatus, Device, PrivacyStatus, ToolStatus
from edged.server.agent import AgentServicer
from edged.server.assistant import AssistantServicer
from edged.server.call_border import CallBorder
from edged.server.caller import Caller
from edged.server.capture import Camera, CaptureServicer
from edged.server.conversations import Conversations, ConversationServicer, Passing
from edged.server.converse import Composer, VoiceCalls
from edged.server.device_registry import DeviceRegistry
from edged.server.devices import Desk, DeviceServicer, Issuer, Keys
from edged.server.health import HealthServicer
from edged.server.interceptors import CallInterceptor, peer_address, peer_certificate
from edged.server.lifecycle import Lifecycle
from edged.server.listen import LanPort, listen_lan, listen_tcp, listen_unix
from edged.server.models import Engines, ModelServicer
from edged.server.speakers import Speakers, SpeakerServicer
from edged.server.status import StatusServicer
from edged.server.vision import Sight, VisionServicer
from edged.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    assistant_pb2,
    assistant_pb2_grpc,
    capture_pb2,
    capture_pb2_grpc,
    conversation_pb2,
    conversation_pb2_grpc,
    device_pb2,
    device_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    speaker_pb2,
    speaker_pb2_grpc,
    status_pb2,
    status_pb2_grpc,
    vision_pb2,
    vision_pb2_grpc,
)

_STUBS: Mapping[str, tuple[Any, Any]] = MappingProxyType(
    {
        "AgentService": (agent_pb2, agent_pb2_grpc),
        "AssistantService": (assistant_pb2, assistant_pb2_grpc),
        "CaptureService": (capture_pb2, capture_pb2_grpc),
        "ConversationService": (conversation_pb2, conversation_pb2_grpc),
        "DeviceService": (device_pb2, device_pb2_grpc),
        "ModelService": (model_pb2, model_pb2_grpc),
        "SpeakerService": (speaker_pb2, speaker_pb2_grpc),
        "StatusService": (status_pb2, status_pb2_grpc),
        "VisionService": (vision_pb2, vision_pb2_grpc),
    }
)
SERVICES = tuple(module.DESCRIPTOR.services_by_name[name].full_name for name, (module, _) in _STUBS.items())
MAX_CONCURRENT_CALLS = 64
"""Of the operator's programs, and as many of devices. One more is refused with RESOURCE_EXHAUSTED. The engine's own
queue is much shorter: this bounds the others, and the memory of requests that arrive at once."""
MAX_LAN_CONNECTIONS = 256
"""One more is closed at once; those that have not shaken hands yet count, or strangers took up all file descriptors."""
_LAN_OPTIONS = (
    ("grpc.max_allowed_incoming_connections", MAX_LAN_CONNECTIONS),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 600_000),  # machines that went to sleep leave theirs behind
)
FLUSH_SECONDS = 0.2
"""What the last answers of a stopping server get to leave the process."""


class Server:
    """Serves one daemon's parts. Its state is LOADING until `serve`."""

    def __init__(
        self,
        *,
        turns: TurnConductor,
        conversations: Conversations,
        engines: Engines,
        privacy: Callable[[], PrivacyStatus],
        sampling: Sampling,
        max_message_bytes: int,
        registry: DeviceRegistry,
        desk: Desk | None = None,
        issuer: Issuer | None = None,
        keys: Keys | None = None,
        composer: Composer | None = None,
        room: Room | None = None,
        speakers: Speakers | None = None,
        camera: Camera | None = None,
        vision: Sight | None = None,
        agent: PhoneAgent | None = None,
        tools: tuple[ToolStatus, ...] = (),
        incognito: Passing | None = None,
    ) -> None:
        """sampling: what requests leave unset. max_message_bytes: a longer request is RESOURCE_EXHAUSTED.

        registry: devices that are known. desk, issuer, keys: how more get to be; None where none can reach the daemon.
        composer, room: ears and mouths of clients, and of this machine. speakers: whose voices are known.
        camera: the eye of this machine.
        vision: reads pictures. agent: drives phones. tools: what the model may do by itself, for the status.
        incognito: conversations that are in memory alone.
        """
        self._conversations = conversations
        self._engines = engines
        self.privacy = privacy
        self._addresses: tuple[str, ...] = ()
        self._socket: Path | None = None
        self._started_at = datetime.now(UTC)
        health = HealthServicer(SERVICES)
        self.lifecycle = Lifecycle(health)
        self.border = CallBorder(self.lifecycle)
        self._registry = registry
        registry.on_change = self._device_changed
        self._room = room
        self._camera = camera
        self._tools = tools
        self._incognito = incognito
        self.voice_calls = VoiceCalls(composer, self.lifecycle) if composer else None
        self.servicers: Mapping[str, Any] = {
            "AgentService": AgentServicer(agent),
            "AssistantService": AssistantServicer(turns, sampling, self.lifecycle, self.voice_calls, room),
            "CaptureService": CaptureServicer(camera, self.lifecycle),
            "ConversationService": ConversationServicer(conversations, incognito),
            "DeviceService": DeviceServicer(desk, registry, issuer, keys),
            "ModelService": ModelServicer(engines),
            "SpeakerService": SpeakerServicer(speakers),
            "StatusService": StatusServicer(self.status),
            "VisionService": VisionServicer(vision),
        }
        """By the name of the service, for whatever carries its calls."""
        self._grpc = self._new_grpc_server(_options(max_message_bytes))
        health_pb2_grpc.add_HealthServicer_to_server(health, self._grpc)
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        reflection.enable_server_reflection((*SERVICES, health_name, reflection.SERVICE_NAME), self._grpc)
        # Devices have a server of their own, so that none of them can take up the operator's calls. It has no health
        # and no reflection: those pass no border, and a device that was revoked still shakes hands.
        self._lan_grpc: grpc.aio.Server | None = None
        self._lan_options = [*_options(max_message_bytes), *_LAN_OPTIONS]

    async def start(
        self,
        socket: Path,
        tcp: tuple[str, int] | None = None,
        *,
        lan: LanPort | None = None,
        others: tuple[str, ...] = (),
    ) -> tuple[str, ...]:
        """Listen, and return the addresses as clients take them: "unix:PATH" first, then "HOST:PORT".

        lan: for devices with a certificate. others: where else this daemon listens, by other protocols; status names
        them last.
        The caller holds the lock of the state directory that `socket` belongs to. Questions are refused until
        `serve`. Raises AlreadyRunning or ConfigError.
        """
        try:
            ports = [listen_tcp(self._grpc, *tcp)] if tcp else []
            if lan:
                self._lan_grpc = self._new_grpc_server(self._lan_options)
                ports.append(f"{listen_lan(self._lan_grpc, lan)} (gRPC, paired devices)")
                await self._lan_grpc.start()
            self._addresses = (listen_unix(self._grpc, socket), *ports, *others)
            await self._grpc.start()
        except BaseException:
            await self._stop(None)
            raise
        self._socket = socket
        return self._addresses

    def serve(self) -> None:
        """The engine is loaded: take questions."""
        self.lifecycle.enter(DaemonState.SERVING)

    @property
    def conversations_by_voice(self) -> int:
        """With clients, that go on."""
        return self.voice_calls.count if self.voice_calls else 0

    async def drain(self, seconds: float) -> None:
        """Refuse new calls, give running ones some time, cut off the rest, and stop.

        When this returns every turn is closed in the store; engine and store must live until then.
        """
        self.lifecycle.enter(DaemonState.DRAINING)
        await self.border.finish(seconds)
        if self.voice_calls:
            await self.voice_calls.close()
        await self._stop(FLUSH_SECONDS)
        if self._socket:
            self._socket.unlink(missing_ok=True)

    def _new_grpc_server(self, options: list[tuple[str, int]]) -> grpc.aio.Server:
        server = grpc.aio.server(
            interceptors=[CallInterceptor(self.border, self._identify)],
            options=options,
            maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
        )
        for name, servicer in self.servicers.items():
            getattr(_STUBS[name][1], f"add_{name}Servicer_to_server")(servicer, server)
        return server

    async def _stop(self, seconds: float | None) -> None:
        await asyncio.gather(*(server.stop(seconds) for server in (self._grpc, self._lan_grpc) if server))

    def _identify(self, context: grpc.aio.ServicerContext) -> Caller:
        """Raises Unauthenticated for the certificate of nobody who is known."""
        certificate = peer_certificate(context)
        if certificate is None:
            return Caller()
        device = self._registry.identify(hashlib.sha256(certificate).digest())
        return Caller(device=device, address=peer_address(context))

    def _device_changed(self, device_id: str, now: Device | None) -> None:
        self.border.device_changed(device_id, now)
        if self.voice_calls:
            self.voice_calls.device_changed(device_id, Caller(device=now).reader if now else None)

    async def status(self) -> DaemonStatus:
        """The whole report."""
        store = await self._conversations.status()
        if self._incognito:
            store = replace(store, incognito_conversations=await self._incognito.count())
        return DaemonStatus(
            version=edged.__version__,
            state=self.lifecycle.state,
            started_at=self._started_at,
            listening_on=self._addresses,
            engine=self._engines.status(),
            store=store,
            privacy=self.privacy(),
            voice=self._room.status() if self._room else None,
            camera=self._camera.status() if self._camera else None,
            tools=self._tools,
        )


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),  # a conversation is as long as it is
        ("grpc.so_reuseport", 0),  # otherwise a second daemon on the port takes half of the calls
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
