"""The outside judge: a client that knows nothing of edged but what reflection and the .proto files say."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.server.conftest import Daemon
from tests.server.scripted import says

PROTOS = Path(__file__).resolve().parents[2] / "protos"
EXPECTED = {
    "edged.v1.AgentService": {"Step"},
    "edged.v1.AssistantService": {"Ask", "StopThinking", "Converse", "WatchEvents", "SetMicrophone"},
    "edged.v1.CaptureService": {"Snapshot", "StreamFrames", "GetCamera", "WatchCamera", "SetCamera"},
    "edged.v1.ConversationService": {
        "ListConversations",
        "GetConversation",
        "SearchConversations",
        "RenameConversation",
        "DeleteConversation",
        "ExportConversations",
    },
    "edged.v1.DeviceService": {
        "OpenPairing",
        "WatchPairing",
        "ConfirmPairing",
        "CreateApiKey",
        "ListDevices",
        "UpdateDevice",
        "RevokeDevice",
        "ListAuditEvents",
        "GetOwnDevice",
        "RenewCertificate",
    },
    "edged.v1.ModelService": {"ListModels", "GetModel"},
    "edged.v1.SpeakerService": {"EnrolSpeaker", "ListSpeakers", "DeleteSpeaker"},
    "edged.v1.StatusService": {"GetStatus"},
    "edged.v1.VisionService": {"ReadText", "Describe", "Find"},
    "grpc.health.v1.Health": {"Check", "Watch", "List"},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo"},
}


class Reflected:
    """All that a server says about itself, in a descriptor pool of its own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        self._call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()

    async def services(self) -> list[str]:
        response = await self._asked(list_services="")
        return [service.name for service in response.list_services_response.service]

    async def add_file_with(self, symbol: str) -> None:
        response = await self._asked(file_containing_symbol=symbol)
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(file)
            for file in response.file_descriptor_response.file_descriptor_proto
        ]
        await self._add({file.name: file for file in files}, files)

    async def _add(
        self, known: dict[str, descriptor_pb2.FileDescriptorProto], files: list[descriptor_pb2.FileDescriptorProto]
    ) -> None:
        for file in files:
            for name in file.dependency:
                if not self._has(name):
                    response = await self._asked(file_by_filename=name)
                    serialized = response.file_descriptor_response.file_descriptor_proto
                    await self._add(known, [descriptor_pb2.FileDescriptorProto.FromString(one) for one in serialized])
            if not self._has(file.name):
                self.pool.Add(file)  # type: ignore[attr-defined]  # in the C++ pool, not in its stubs

    def _has(self, name: str) -> FileDescriptor | None:
        try:
            return self.pool.FindFileByName(name)
        except KeyError:
            return None

    async def _asked(self, **request: str) -> reflection_pb2.ServerReflectionResponse:
        await self._call.write(reflection_pb2.ServerReflectionRequest(**request))
        response = await self._call.read()
        assert not response.HasField("error_response"), response
        return response


async def test_reflection_is_enough_to_ask(daemon: Daemon) -> None:
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        reflected = Reflected(channel)
        assert set(await reflected.services()) == set(EXPECTED)
        for name, methods in EXPECTED.items():
            await reflected.add_file_with(name)
            service = reflected.pool.FindServiceByName(name)
            assert {method.name for method in service.methods} <= methods
            assert name.startswith("grpc.") or len(service.methods) == len(methods)
        ask = reflected.pool.FindMethodByName("edged.v1.AssistantService.Ask")  # type: ignore[attr-defined]
        request = message_factory.GetMessageClass(ask.input_type)
        response = message_factory.GetMessageClass(ask.output_type)
        call = channel.unary_stream(
            "/edged.v1.AssistantService/Ask",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        kinds = [event.WhichOneof("event") async for event in call(request(parts=[{"text": "Hello"}]))]
    assert kinds == ["started", "text_delta", "text_delta", "measured", "finished"]


JUDGE = """
import sys
sys.path.insert(0, sys.argv[1])
import grpc
from edged.v1 import assistant_pb2, assistant_pb2_grpc, conversation_pb2, conversation_pb2_grpc

assert sys.modules["edged.v1"].__path__[0].startswith(sys.argv[1])
with grpc.insecure_channel(sys.argv[2]) as channel:
    request = assistant_pb2.AskRequest()
    request.parts.add().text = "What is the capital of France?"
    events = list(assistant_pb2_grpc.AssistantServiceStub(channel).Ask(request, timeout=20))
    assert [event.WhichOneof("event") for event in events] == [
        "started", "text_delta", "text_delta", "measured", "finished"
    ], events
    assert events[-1].finished.finish_reason == 1
    stub = conversation_pb2_grpc.ConversationServiceStub(channel)
    stored = stub.GetConversation(
        conversation_pb2.GetConversationRequest(conversation_id=events[0].started.conversation_id), timeout=20
    )
    print("|".join(part.text for message in stored.messages for part in message.parts))
    try:
        stub.GetConversation(conversation_pb2.GetConversationRequest(conversation_id="c9"), timeout=20)
    except grpc.RpcError as error:
        print(error.code().name)
"""


async def test_a_stock_stub_made_from_the_protos(daemon: Daemon, tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    daemon.model.script = says("Par", "is")
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    (tmp_path / "judge.py").write_text(JUDGE)
    await _finished(
        "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}", *files
    )
    # -P and a working directory elsewhere: the stub must not find this checkout.
    said = await _finished("-P", str(tmp_path / "judge.py"), str(tmp_path), daemon.address, cwd=tmp_path)
    assert said.split("\n")[:2] == ["What is the capital of France?|Paris", "NOT_FOUND"]


async def _finished(*arguments: str, cwd: Path = PROTOS) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()
