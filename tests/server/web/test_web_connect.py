"""edged's services over Connect and gRPC-Web, as connectrpc's own client and bare frames see them."""

from __future__ import annotations

import gzip
import json
import threading
from base64 import b64decode
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.codec import proto_json_codec
from connectrpc.errors import ConnectError
from connectrpc.protocol import ProtocolType
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2

from edged.server.web import codec
from edged.v1 import assistant_pb2, conversation_pb2, device_pb2, message_pb2, model_pb2
from tests.server.scripted import says
from tests.server.web.web_daemon import MAX_MESSAGE_BYTES, WebDaemon, envelope, stock_client

QUESTION = assistant_pb2.AskRequest(parts=[message_pb2.Part(text="What is the capital of France?")])
FORMS = {
    "connect": {},
    "connect json": {"codec": proto_json_codec()},
    "connect plain": {"send_compression": None},
    "grpc-web": {"protocol": ProtocolType.GRPC_WEB},
    "grpc-web json": {"protocol": ProtocolType.GRPC_WEB, "codec": proto_json_codec()},
    "grpc-web plain": {"protocol": ProtocolType.GRPC_WEB, "send_compression": None},
}


@pytest.mark.parametrize("form", FORMS)
async def test_stock_client_asks_and_looks_up(web: WebDaemon, form: str) -> None:
    web.model.script = says("Par", "is", "。")
    async with stock_client(web, **FORMS[form]) as client:
        answers = [answer async for answer in client.stream("AssistantService/Ask", QUESTION)]
        listed = await client.unary(
            "ConversationService/ListConversations", conversation_pb2.ListConversationsRequest()
        )
    said = [answer.text_delta.text for answer in answers if answer.WhichOneof("event") == "text_delta"]
    assert "".join(said) == "Paris。"
    assert answers[-1].WhichOneof("event") == "finished"
    assert [conversation.id for conversation in listed.conversations] == ["c1"]
    assert web.model.running == 0 and web.model.stopped_early == 0


@pytest.mark.parametrize("form", FORMS)
async def test_stock_client_gets_errors_with_details(web: WebDaemon, form: str) -> None:
    async with stock_client(web, **FORMS[form]) as client:
        with pytest.raises(ConnectError) as unary:
            await client.unary(
                "ConversationService/GetConversation", conversation_pb2.GetConversationRequest(conversation_id="c9")
            )
        with pytest.raises(ConnectError) as stream:
            async for _ in client.stream("AssistantService/Ask", assistant_pb2.AskRequest(model="other")):
                pass
    assert unary.value.code == Code.NOT_FOUND and unary.value.message == "no such conversation"
    info, resource = error_details_pb2.ErrorInfo(), error_details_pb2.ResourceInfo()
    assert unary.value.details[0].Unpack(info) and (info.reason, info.domain) == ("NOT_FOUND", "edged")
    assert unary.value.details[1].Unpack(resource) and resource.resource_name == "c9"
    assert stream.value.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT)


async def test_connect_unary_by_hand(web: WebDaemon) -> None:
    answer = await web.post("ModelService/GetModel", b'{"name": "nope"}', "application/json")
    assert answer.status == 404 and answer.headers["content-type"] == "application/json"
    said = json.loads(answer.body)
    assert said["code"] == "not_found"
    detail = any_pb2.Any(
        type_url="type.googleapis.com/" + said["details"][0]["type"],
        value=b64decode(said["details"][0]["value"] + "=="),
    )
    assert detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)

    answer = await web.post("ModelService/ListModels", b"", "application/proto")
    assert answer.status == 200 and answer.headers["content-type"] == "application/proto"
    assert len(model_pb2.ListModelsResponse.FromString(answer.body).models) == 2


async def test_grpc_web_by_hand(web: WebDaemon) -> None:
    answer = await web.post(
        "AssistantService/Ask", envelope(QUESTION.SerializeToString()), "application/grpc-web+proto"
    )
    assert answer.status == 200 and answer.headers["content-type"] == "application/grpc-web+proto"
    *events, (flags, trailers) = answer.envelopes()
    assert [flag for flag, _ in events] == [0] * len(events)
    assert flags == 0x80 and b"grpc-status: 0\r\n" in trailers


async def test_large_json_does_not_hold_up_other_calls(web: WebDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python parses it, for up to 0.4 s a megabyte."""
    parsed_by: list[threading.Thread] = []
    parse = json_format.Parse

    def watched(*arguments: Any, **options: Any) -> Any:
        parsed_by.append(threading.current_thread())
        return parse(*arguments, **options)

    monkeypatch.setattr(json_format, "Parse", watched)
    for size in (0, codec.LARGE_JSON_BYTES):
        body = json.dumps({"x": "x" * size}).encode()
        assert (await web.post("ModelService/ListModels", body, "application/json")).status == 200
    assert [thread is threading.main_thread() for thread in parsed_by] == [True, False]


async def test_unknown_fields_of_json_are_ignored(web: WebDaemon) -> None:
    answer = await web.post("ModelService/ListModels", b'{"fromTheFuture": 1}', "application/json; charset=utf-8")
    assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "headers"),
    [
        (b"\xff\xff", "application/proto", ()),
        (b"{", "application/json", ()),
        (b"[" * 100_000, "application/json", ()),
        (b'{"name": "\\ud800"}', "application/json", ()),
        (b'{"name": 7}', "application/json", ()),
        (b"\xff", "application/json", ()),
        (b"no gzip", "application/proto", ("Content-Encoding: gzip",)),
        (gzip.compress(b"", mtime=0)[:-1], "application/proto", ("Content-Encoding: gzip",)),
        (b"", "application/grpc-web", ()),
        (b"\0\0\0\0", "application/grpc-web", ()),
        (envelope(b"")[:-1] + b"\x05", "application/grpc-web", ()),
        (envelope(b"") * 2, "application/grpc-web", ()),
        (envelope(b"", flags=1), "application/grpc-web", ()),
        (envelope(b"", flags=2), "application/grpc-web", ("grpc-encoding: gzip",)),
        (envelope(b"no gzip", flags=1), "application/grpc-web", ("grpc-encoding: gzip",)),
    ],
)
async def test_what_is_no_request_is_invalid(
    web: WebDaemon, body: bytes, content_type: str, headers: tuple[str, ...]
) -> None:
    answer = await web.post("ModelService/GetModel", body, content_type, *headers)
    if content_type == "application/grpc-web":
        assert b"grpc-status: 3\r\n" in answer.body
    else:
        assert answer.status == 400 and json.loads(answer.body)["code"] == "invalid_argument"


@pytest.mark.parametrize(
    ("content_type", "headers", "status"),
    [
        ("text/plain", (), 415),
        ("application/grpc", (), 415),
        ("application/grpc-web-text", (), 415),
        ("application/connect+proto", (), 415),
        ("application/proto", ("Content-Encoding: br",), 415),
        ("application/proto", ("Connect-Protocol-Version: 2",), 400),
        ("application/proto", ("Connect-Timeout-Ms: soon",), 400),
        ("application/proto", ("Connect-Timeout-Ms: -1",), 400),
        ("application/grpc-web", ("Grpc-Timeout: 5x",), 400),
        ("application/grpc-web", ("Grpc-Timeout: ",), 400),
    ],
)
async def test_wrong_headers(web: WebDaemon, content_type: str, headers: tuple[str, ...], status: int) -> None:
    answer = await web.post("ModelService/ListModels", b"", content_type, *headers)
    assert answer.status == status
    assert b"soon" not in answer.body and b"5x" not in answer.body


async def test_headers_that_are_not_ours_do_not_matter(web: WebDaemon) -> None:
    answer = await web.post("ModelService/ListModels", b"", "application/proto", "X-Name: Zo\u00eb", "Accept: \u00e9")
    assert answer.status == 200


async def test_request_as_long_as_allowed_and_longer(web: WebDaemon) -> None:
    longest = b'{"name":"' + b"x" * (MAX_MESSAGE_BYTES - 11) + b'"}'
    for body, status in ((longest, 404), (longest + b" ", 429)):
        for packed, headers in ((body, ()), (gzip.compress(body), ("Content-Encoding: gzip",))):
            answer = await web.post("ModelService/GetModel", packed, "application/json", *headers)
            assert answer.status == status
            assert len(answer.body) < 5000


async def test_streamed_requests_are_for_the_websocket(web: WebDaemon) -> None:
    answer = await web.post("AssistantService/Converse", envelope(b""), "application/connect+proto")
    ((_, end),) = answer.envelopes()
    error = json.loads(end)["error"]
    assert error["code"] == "unimplemented" and "WebSocket at /edged.v1.AssistantService/Converse" in error["message"]


async def test_deadlines(web: WebDaemon) -> None:
    web.model.script = ["wait"]
    async with stock_client(web) as client:
        with pytest.raises(ConnectError) as late:
            async for _ in client.stream("AssistantService/Ask", QUESTION, timeout_ms=200):
                pass
    assert late.value.code == Code.DEADLINE_EXCEEDED
    answer = await web.post(
        "AssistantService/Ask",
        envelope(QUESTION.SerializeToString()),
        "application/connect+proto",
        "Connect-Timeout-Ms: 100",
    )
    assert json.loads(answer.envelopes()[-1][1])["error"]["code"] == "deadline_exceeded"
    assert web.model.running == 0


async def test_bugs_are_told_by_a_number_alone(web: WebDaemon, caplog: pytest.LogCaptureFixture) -> None:
    answer = await web.post("StatusService/GetStatus", b"", "application/proto")
    assert answer.status == 500
    said = json.loads(answer.body)
    assert said["code"] == "internal" and said["message"].startswith("internal error ")
    assert said["message"].split()[2].rstrip(";") in caplog.text


async def test_pairing_gives_a_browser_its_cookie(web: WebDaemon) -> None:
    request = device_pb2.ClaimPairingRequest(attempt_id="1").SerializeToString()
    answer = await web.post("PairingService/ClaimPairing", request, "application/proto", token="")
    assert answer.status == 200
    cookie = answer.headers["set-cookie"]
    name, *attributes = cookie.split("; ")
    assert name == "__Host-edged=" + "g" * 43
    assert set(attributes) == {"Max-Age=34560000", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"}
    assert web.desk.came_from == [("127.0.0.1", "127.0.0.1")]
    old = await web.post("PairingService/ClaimPairing", request, "application/proto", token="x" * 43)
    assert old.status == 200
