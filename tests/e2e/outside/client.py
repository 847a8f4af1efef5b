"""A client of nothing but stubs that were generated from the proto files: python client.py ADDRESS FOLDER_OF_STUBS."""

from __future__ import annotations

import sys
import time

import grpc
from google.rpc import error_details_pb2, status_pb2

from edged.v1 import assistant_pb2, assistant_pb2_grpc, conversation_pb2, conversation_pb2_grpc, message_pb2

address, folder = sys.argv[1:]
assert assistant_pb2.__file__.startswith(folder), "these are not the stubs that were generated"
channel = grpc.insecure_channel(address)
assistant = assistant_pb2_grpc.AssistantServiceStub(channel)
conversations = conversation_pb2_grpc.ConversationServiceStub(channel)


def ask(text: str, timeout: float | None = None) -> grpc.Call:
    parts = [message_pb2.Part(text=text)]
    return assistant.Ask(assistant_pb2.AskRequest(parts=parts), timeout=timeout)


def text_of(events: grpc.Call) -> str:
    return "".join(event.text_delta.text for event in events)


def refusal_of(text: str) -> grpc.RpcError:
    try:
        text_of(ask(text))
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"{text} was not refused")


def detail(error: grpc.RpcError, kind: type) -> object:
    (data,) = (value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin")
    found = kind()
    assert any(each.Unpack(found) for each in status_pb2.Status.FromString(data).details)
    return found


for task in ("stream", "unknown"):
    events = list(ask(task))
    print(task, text_of(ask(f"{task} {text_of(events).split()[-1]}")))
endless = ask("cancel")
for _ in range(6):
    next(endless)
endless.cancel()
try:
    text_of(ask("deadline", timeout=1.5))
except grpc.RpcError as error:
    print("deadline", error.code().name)
page = conversations.ListConversations(conversation_pb2.ListConversationsRequest(page_size=3))
print("conversations", len(page.conversations), "and more" if page.next_page_token else "")
try:
    conversations.GetConversation(conversation_pb2.GetConversationRequest(conversation_id="none"))
except grpc.RpcError as error:
    print("missing", error.code().name)
refused = refusal_of("details")
field = detail(refused, error_details_pb2.BadRequest).field_violations[0].field
text_of(ask(f"details {detail(refused, error_details_pb2.ErrorInfo).reason} {field}"))
time.sleep(detail(refusal_of("retry"), error_details_pb2.RetryInfo).retry_delay.ToNanoseconds() / 1e9)
text_of(ask("retry"))
