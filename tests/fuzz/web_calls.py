"""What comes over HTTP and WebSockets, put before the applications that read it, without a network.

The first two bytes choose the form of the request and its method; the rest is its body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from edged.errors import Code
from edged.events import Sampling
from edged.pipeline.turn import TurnConductor
from edged.records import DaemonState
from edged.server.assistant import AssistantServicer
from edged.server.call_border import CallBorder
from edged.server.conversations import ConversationServicer
from edged.server.converse import VoiceCalls
from edged.server.health import HealthServicer
from edged.server.lifecycle import Lifecycle
from edged.server.models import ModelServicer
from edged.server.web.connect import ConnectServices
from edged.server.web.websocket import WebSocketMethod
from edged.v1 import assistant_pb2, conversation_pb2, message_pb2, voice_pb2
from tests.server.conversing import Composer
from tests.server.scripted import DictMemory, ScriptedModel
from tests.server.web.web_daemon import MAX_MESSAGE_BYTES, TOKEN, Devices, PairingDesk

FORMS = (
    "application/proto",
    "application/json",
    "application/connect+proto",
    "application/connect+json",
    "application/grpc-web+proto",
    "application/grpc-web+json",
    "application/grpc-web-text+proto",
)
GZIPPED = len(FORMS)
"""Forms from here on are the same ones, compressed."""
PATHS = (
    "/edged.v1.AssistantService/Ask",
    "/edged.v1.AssistantService/StopThinking",
    "/edged.v1.ConversationService/ListConversations",
    "/edged.v1.ConversationService/GetConversation",
    "/edged.v1.ConversationService/SearchConversations",
    "/edged.v1.ConversationService/ExportConversations",
    "/edged.v1.ModelService/GetModel",
    "/edged.v1.PairingService/StartPairing",
)
CONVERSE = "/edged.v1.AssistantService/Converse"
SECONDS = 5
PATIENCE_SECONDS = 0.05
"""How long a phone that has said everything stays."""
_ENVELOPE_BYTES = 5


class Parts:
    """Of a daemon, as far as these applications need it."""

    def __init__(self) -> None:
        model, memory = ScriptedModel(), DictMemory()
        turns = TurnConductor(model, memory, MAX_MESSAGE_BYTES)
        lifecycle = Lifecycle(HealthServicer(()))
        lifecycle.enter(DaemonState.SERVING)
        self.border, self.devices = CallBorder(lifecycle), Devices()
        self.calls = VoiceCalls(Composer(turns), lifecycle)
        self.assistant = AssistantServicer(turns, Sampling(), lifecycle, self.calls, None)
        self.servicers: dict[str, object] = {
            "edged.v1.AssistantService": self.assistant,
            "edged.v1.ConversationService": ConversationServicer(memory),
            "edged.v1.ModelService": ModelServicer(model),
            "edged.v1.PairingService": PairingDesk(),
        }


Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def connect(data: bytes) -> None:
    """One request to a method; whatever the answer is, nothing may break behind the call border."""
    form, path = (data + b"\0\0")[0] % (2 * len(FORMS)), (data + b"\0\0")[1] % len(PATHS)
    content_type = FORMS[form % len(FORMS)].encode()
    headers = [(b"content-type", content_type), (b"connect-protocol-version", b"1")]
    if form >= GZIPPED:
        headers += [(name, b"gzip") for name in (b"content-encoding", b"connect-content-encoding", b"grpc-encoding")]
    messages = [{"type": "http.request", "body": data[2:], "more_body": False}]

    def application(parts: Parts) -> Application:
        return ConnectServices(
            parts.servicers, parts.border, parts.devices, max_message_bytes=MAX_MESSAGE_BYTES
        ).__call__

    asyncio.run(_served(application, "http", PATHS[path], headers, messages))


def websocket(data: bytes) -> None:
    """A conversation by voice: each message has its length before it, in one byte; those of length 255 are text."""
    messages = [{"type": "websocket.connect"}]
    while data:
        piece, is_text = data[1 : 1 + data[0]], data[0] == 255
        messages.append({"type": "websocket.receive", **({"text": str(piece)} if is_text else {"bytes": piece})})
        data = data[1 + data[0] :]

    def application(parts: Parts) -> Application:
        method = assistant_pb2.DESCRIPTOR.services_by_name["AssistantService"].methods_by_name["Converse"]
        return WebSocketMethod(CONVERSE, method, parts.assistant.Converse, parts.border, parts.devices).__call__

    asyncio.run(_served(application, "websocket", CONVERSE, [], messages))


async def _served(
    make: Callable[[Parts], Application],
    kind: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    messages: list[dict[str, Any]],
) -> None:
    """An application's answer to these messages of a paired phone, after which it leaves."""
    parts = Parts()
    sent: list[dict[str, Any]] = []
    outcomes: list[str] = []
    parts.border.on_end = lambda method, outcome, seconds: outcomes.append(outcome)
    scope = {"type": kind, "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"http_version": "1.1", "scheme": "https", "root_path": "", "server": ("localhost", 8443)}
    scope |= {"client": ("127.0.0.1", 9), "asgi": {"version": "3.0"}}
    cookie = (b"cookie", f"__Host-edged={TOKEN}".encode())
    waiting = iter(messages)
    is_answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if message := next(waiting, None):
            return message
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS if kind == "websocket" else SECONDS):
                await is_answered.wait()
        return {"type": f"{kind}.disconnect", "code": 1001}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        is_end = message["type"] == "http.response.body" and not message.get("more_body")
        if is_end or message["type"] == "websocket.close":
            is_answered.set()

    async with asyncio.timeout(SECONDS):
        await make(parts)({**scope, "headers": [(b"host", b"localhost"), cookie, *headers]}, receive, send)
    await parts.calls.close()
    assert not {Code.INTERNAL.name, "UNKNOWN"} & set(outcomes), outcomes
    assert sent and sent[0].get("status", 0) != Code.INTERNAL.http_status, sent


def requests() -> list[bytes]:
    """For `connect`: in every form the same question, and one request for each method."""
    ask = assistant_pb2.AskRequest(parts=[message_pb2.Part(text="Hello")])
    proto, json = ask.SerializeToString(), b'{"parts": [{"text": "Hello"}]}'
    found = []
    for number, form in enumerate(FORMS):
        body = json if form.endswith("json") else proto
        is_enveloped = form not in FORMS[:2]
        found.append(bytes([number, 0]) + (_envelope(body) if is_enveloped else body))
    named = conversation_pb2.GetConversationRequest(conversation_id="1").SerializeToString()
    for number in range(1, len(PATHS)):
        found += [bytes([0, number]) + named, bytes([2, number]) + _envelope(named)]
    return found


def spoken() -> list[bytes]:
    """For `websocket`."""
    opening = voice_pb2.OpenConversation(mode=voice_pb2.VOICE_MODE_OPEN, encoding=voice_pb2.AUDIO_ENCODING_PCM16)
    sound = assistant_pb2.ConverseRequest()
    sound.audio.data = bytes(100)
    end = assistant_pb2.ConverseRequest(end_of_speech=voice_pb2.EndOfSpeech())
    pieces = [one.SerializeToString() for one in (assistant_pb2.ConverseRequest(open=opening), sound, end)]
    return [b"".join(bytes([len(piece)]) + piece for piece in pieces)]


def _envelope(message: bytes) -> bytes:
    return len(message).to_bytes(_ENVELOPE_BYTES) + message
