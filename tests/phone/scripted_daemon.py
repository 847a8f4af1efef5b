"""A daemon made of a script: a server of the files that the app is built into, and answers in place of the network."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import Message as Protobuf
from playwright.async_api import BrowserContext, Route, WebSocketRoute

from edged.records import DeviceKind
from edged.server.web.headers import SECURITY
from edged.trust.pake import DaemonSide
from edged.v1 import assistant_pb2 as assistant
from edged.v1 import conversation_pb2 as conversation
from edged.v1 import device_pb2 as device
from edged.v1 import message_pb2 as message
from edged.v1 import model_pb2 as model
from edged.v1 import status_pb2 as status
from edged.v1 import voice_pb2 as voice
from tests.phone.browser import PHONE

CODE, SECRET = "493027", "kZ0b5Fq_3-yT9wQ2rX7e1A"
SCOPES = (device.SCOPE_CHAT, device.SCOPE_VOICE, device.SCOPE_HISTORY)
CA = b"the daemon's CA certificate"
SAID = "**Paris** is the capital of France.\n\n1. It lies on the Seine.\n2. It has `2.1` million people.\n"
MORNING = 1_790_000_000


class _Files(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        for name, value in SECURITY:
            self.send_header(name.decode(), value.decode())
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served_files() -> Iterator[str]:
    """The origin from which a browser gets the app. A browser trusts its own machine without TLS."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=PHONE)) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


class Refused(Exception):
    """An error of Connect."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


@dataclass
class ScriptedDaemon:
    """Answers what the app asks; `unknown` are requests to anywhere else."""

    origin: str
    is_paired: bool = True
    scopes: Sequence[int] = SCOPES
    answer: str = SAID
    pictures: list[bytes] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    spoken: list[assistant.ConverseRequest] = field(default_factory=list)
    """What came over the WebSocket."""
    sockets: list[WebSocketRoute] = field(default_factory=list)
    on_spoken: Callable[[WebSocketRoute, assistant.ConverseRequest], None] = lambda *_: None
    is_away: bool = False
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    problem: Refused | None = None
    """Of the next question."""
    titles: dict[str, str] = field(default_factory=lambda: {"c1": "The capital of France", "c2": "晚饭吃什么？"})
    _keys: Any = None

    async def serve(self, context: BrowserContext) -> None:
        """Be the whole network of this phone."""
        await context.route("**/*", self._route)
        await context.route_web_socket("**/*", self._converse)

    async def _route(self, route: Route) -> None:
        url = route.request.url
        if self.is_away:
            await route.abort("connectionrefused")
        elif not url.startswith((self.origin, f"blob:{self.origin}")):
            self.unknown.append(url)
            await route.abort()
        elif route.request.method == "POST":
            await self._call(route)
        else:
            await route.continue_()

    async def _call(self, route: Route) -> None:
        method = route.request.url.rsplit("/", 1)[1]
        self.calls.append(method)
        body = route.request.post_data_buffer or b""
        handler = getattr(self, "_" + method)
        is_stream = route.request.headers["content-type"] == "application/connect+proto"
        try:
            pairing = method in {"StartPairing", "ProvePairing", "ClaimPairing"}
            if not self.is_paired and not pairing:
                raise Refused("unauthenticated", "this device is not paired")
            found = await handler(body[5:] if is_stream else body)
        except Refused as exc:
            error = json.dumps({"code": exc.code, "message": exc.words})
            if is_stream:
                end = json.dumps({"error": json.loads(error)}).encode()
                await route.fulfill(content_type="application/connect+proto", body=_frame(2, end))
            else:
                await route.fulfill(status=400, content_type="application/json", body=error)
            return
        if is_stream:
            frames = b"".join(_frame(0, one.SerializeToString()) for one in found) + _frame(2, b"{}")
            await route.fulfill(content_type="application/connect+proto", body=frames)
        else:
            await route.fulfill(content_type="application/proto", body=found.SerializeToString())

    # --- pairing ---

    async def _StartPairing(self, body: bytes) -> Protobuf:
        request = device.StartPairingRequest.FromString(body)
        side = DaemonSide(CODE if request.means == device.PAIRING_MEANS_CODE else SECRET)
        self._keys = side.finish(request.pake_message)
        return device.StartPairingResponse(attempt_id="a1", pake_message=side.message)

    async def _ProvePairing(self, body: bytes) -> Protobuf:
        request = device.ProvePairingRequest.FromString(body)
        expected = self._keys.client_confirmation(
            attempt_id="a1",
            device_name=request.device_name,
            kind=DeviceKind.BROWSER,
            certificate_request=b"",
            seen_fingerprint=b"",
        )
        if request.confirmation != expected:
            raise Refused("unauthenticated", "that was not the code")
        confirmation = self._keys.daemon_confirmation(attempt_id="a1", ca_certificate=CA)
        return device.ProvePairingResponse(confirmation=confirmation, ca_certificate=CA)

    @property
    def short_string(self) -> str:
        return str(self._keys.short_string)

    async def _ClaimPairing(self, _: bytes) -> Protobuf:
        await self.confirmed.wait()
        self.is_paired = True
        return device.ClaimPairingResponse(device=self._device)

    @property
    def _device(self) -> device.Device:
        return device.Device(
            id="d1", name="Anna's phone", kind=device.DEVICE_KIND_BROWSER, person="Anna", scopes=self.scopes
        )

    async def _GetOwnDevice(self, _: bytes) -> Protobuf:
        return device.GetOwnDeviceResponse(device=self._device)

    # --- what it is ---

    async def _ListModels(self, _: bytes) -> Protobuf:
        return model.ListModelsResponse(
            models=[
                model.Model(name="smollm2-135m", is_default=True, is_loaded=True, is_demo=True, reads=["text"]),
                model.Model(name="autoglm-phone-nano", reads=["text", "images"]),
            ]
        )

    async def _GetStatus(self, _: bytes) -> Protobuf:
        return status.GetStatusResponse(
            version="0.6.0",
            state=status.DAEMON_STATE_SERVING,
            engine=status.EngineStatus(model="smollm2-135m", device="onnxruntime CPU, 2 threads", context_length=8192),
            store=status.StoreStatus(encrypted=True, protection="A thief of the disk reads nothing of it."),
            privacy=status.PrivacyStatus(
                enforcements=[
                    status.Enforcement(name="audit hook", active=True, detail="refuses connections to other machines"),
                    status.Enforcement(name="landlock", active=False, detail="this kernel has none"),
                ]
            ),
            voice=status.VoiceStatus(microphone=status.MICROPHONE_STATE_CLOSED),
        )

    # --- conversations ---

    def _conversation(self, name: str) -> conversation.Conversation:
        found = conversation.Conversation(id=name, title=self.titles[name], message_count=2)
        found.updated_at.seconds = MORNING
        return found

    def _messages(self) -> list[message.Message]:
        asked = [message.Part(image=message.Blob(data=each, media_type="image/jpeg")) for each in self.pictures]
        return [
            message.Message(
                role=message.ROLE_USER, parts=[*asked, message.Part(text="What is the capital of France?")]
            ),
            message.Message(
                role=message.ROLE_ASSISTANT,
                parts=[message.Part(text=self.answer)],
                reasoning="They ask about *France*.",
                state=message.MESSAGE_STATE_COMPLETE,
                finish_reason=message.FINISH_REASON_STOP,
            ),
        ]

    async def _ListConversations(self, _: bytes) -> Protobuf:
        return conversation.ListConversationsResponse(conversations=[self._conversation(name) for name in self.titles])

    async def _GetConversation(self, body: bytes) -> Protobuf:
        name = conversation.GetConversationRequest.FromString(body).conversation_id
        if name not in self.titles:
            raise Refused("not_found", f"there is no conversation {name}")
        return conversation.GetConversationResponse(conversation=self._conversation(name), messages=self._messages())

    async def _SearchConversations(self, body: bytes) -> Protobuf:
        words = conversation.SearchConversationsRequest.FromString(body).query
        hit = conversation.SearchHit(conversation=self._conversation("c1"), snippet=f"What is the \x02{words}\x03 of …")
        return conversation.SearchConversationsResponse(hits=[hit] if words != "nothing" else [])

    async def _RenameConversation(self, body: bytes) -> Protobuf:
        request = conversation.RenameConversationRequest.FromString(body)
        self.titles[request.conversation_id] = request.title
        return conversation.RenameConversationResponse(conversation=self._conversation(request.conversation_id))

    async def _DeleteConversation(self, body: bytes) -> Protobuf:
        del self.titles[conversation.DeleteConversationRequest.FromString(body).conversation_id]
        return conversation.DeleteConversationResponse()

    async def _ExportConversations(self, body: bytes) -> list[Protobuf]:
        wanted = conversation.ExportConversationsRequest.FromString(body).conversation_ids or list(self.titles)
        return [
            conversation.ExportConversationsResponse(conversation=self._conversation(name), messages=self._messages())
            for name in wanted
        ]

    # --- questions ---

    async def _Ask(self, body: bytes) -> list[Protobuf]:
        request = assistant.AskRequest.FromString(body)
        self.pictures += [part.image.data for part in request.parts if part.HasField("image")]
        if self.problem:
            problem, self.problem = self.problem, None
            raise problem
        events = [assistant.AskResponse(started={"conversation_id": request.conversation_id or "c1", "model": "m"})]
        events += [assistant.AskResponse(reasoning_delta={"text": "They ask about *France*."})]
        events += [assistant.AskResponse(text_delta={"text": letter}) for letter in self.answer]
        return [*events, assistant.AskResponse(finished={"finish_reason": message.FINISH_REASON_STOP})]

    def _converse(self, socket: WebSocketRoute) -> None:
        if socket.url != self.origin.replace("http", "ws") + "/edged.v1.AssistantService/Converse":
            self.unknown.append(socket.url)
            return
        self.sockets.append(socket)

        def take(data: str | bytes) -> None:
            request = assistant.ConverseRequest.FromString(data if isinstance(data, bytes) else data.encode())
            if request.WhichOneof("request") != "open":
                self.spoken.append(request)
                self.on_spoken(socket, request)
                return
            self.spoken.append(request)
            opened = voice.ConversationOpened(
                session_id="s1", taken=len(self.spoken) - len(self.sockets), sample_rate=22_050
            )
            socket.send(assistant.ConverseResponse(opened=opened).SerializeToString())

        socket.on_message(take)


def _frame(flags: int, data: bytes) -> bytes:
    return bytes([flags]) + len(data).to_bytes(4, "big") + data
