# ruff: noqa: D103  (the pairs below all keep the contract stated here)
"""The codec: events and records <-> the messages of `edged.v1`.

Every type has a pair `x_to_wire` and `x_from_wire` that undo each other. `_from_wire` reads what
somebody else sent, so it raises InvalidInput naming the field for an enum value or a oneof it does
not know; `_to_wire` raises ValueError for a value that protobuf cannot hold (a number out of its
range, a string that is not Unicode text).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp

from edged import events, records
from edged.errors import InvalidInput
from edged.v1 import assistant_pb2, conversation_pb2, message_pb2, model_pb2, status_pb2

_Enum = TypeVar("_Enum", bound=enum.Enum)
_Record = TypeVar("_Record")
_Proto = TypeVar("_Proto", bound=ProtoMessage)


# --- values ---------------------------------------------------------------------------------------


def _numbers(kind: type[_Enum], proto: Any, prefix: str) -> dict[_Enum, Any]:
    """Member -> number on the wire; a member without one fails at import."""
    return {member: proto.Value(f"{prefix}_{member.name}") for member in kind}


def _inverse(numbers: Mapping[_Enum, int]) -> dict[int, _Enum]:
    return {number: member for member, number in numbers.items()}


_ROLES = _numbers(events.Role, message_pb2.Role, "ROLE")
_STATES = _numbers(events.MessageState, message_pb2.MessageState, "MESSAGE_STATE")
_REASONS = _numbers(events.FinishReason, message_pb2.FinishReason, "FINISH_REASON")
_DAEMON_STATES = _numbers(records.DaemonState, status_pb2.DaemonState, "DAEMON_STATE")
_ROLE_OF = _inverse(_ROLES)
_STATE_OF = _inverse(_STATES)
_REASON_OF = _inverse(_REASONS)
_DAEMON_STATE_OF = _inverse(_DAEMON_STATES)


def _member(of: Mapping[int, _Enum], number: int, field: str) -> _Enum:
    try:
        return of[number]
    except KeyError:
        raise InvalidInput(f"{field} has no known value ({number})", field=field) from None


def time_to_wire(time: datetime) -> Timestamp:
    """`time` must be timezone-aware."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def time_from_wire(stamp: Timestamp, field: str = "time") -> datetime:
    """Microseconds are kept, nanoseconds cut."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{field} is no valid time", field=field) from None


def _copy_to_wire(record: Any, kind: type[_Proto], **others: Any) -> _Proto:
    """For records whose fields have the same names and, but for the others, scalar types on both sides."""
    return kind(**{field.name: getattr(record, field.name) for field in fields(record)} | others)


def _copy_from_wire(proto: ProtoMessage, kind: type[_Record]) -> _Record:
    return kind(**{field.name: getattr(proto, field.name) for field in fields(kind)})  # type: ignore[arg-type]


# --- messages -------------------------------------------------------------------------------------


def part_to_wire(part: events.Part) -> message_pb2.Part:
    match part:
        case events.Text(text=text):
            return message_pb2.Part(text=text)
        case events.Image(data=data, media_type=media_type):
            return message_pb2.Part(image=message_pb2.Blob(data=data, media_type=media_type))
        case events.Audio(data=data, media_type=media_type):
            return message_pb2.Part(audio=message_pb2.Blob(data=data, media_type=media_type))


def part_from_wire(part: message_pb2.Part, field: str = "part") -> events.Part:
    match part.WhichOneof("content"):
        case "text":
            return events.Text(text=part.text)
        case "image":
            return events.Image(data=part.image.data, media_type=part.image.media_type)
        case "audio":
            return events.Audio(data=part.audio.data, media_type=part.audio.media_type)
        case _:
            raise InvalidInput(f"{field} holds neither text, image nor audio", field=field)


def message_to_wire(message: events.Message) -> message_pb2.Message:
    return message_pb2.Message(
        id=message.id,
        role=_ROLES[message.role],
        parts=[part_to_wire(part) for part in message.parts],
        reasoning=message.reasoning,
        state=_STATES[message.state],
        created_at=time_to_wire(message.created_at) if message.created_at else None,
        finish_reason=_REASONS[message.finish_reason] if message.finish_reason else None,
        usage=usage_to_wire(message.usage) if message.usage else None,
        model=message.model,
    )


def message_from_wire(message: message_pb2.Message) -> events.Message:
    return events.Message(
        id=message.id,
        role=_member(_ROLE_OF, message.role, "role"),
        parts=parts_from_wire(message.parts),
        reasoning=message.reasoning,
        state=_member(_STATE_OF, message.state, "state"),
        created_at=time_from_wire(message.created_at, "created_at") if message.HasField("created_at") else None,
        finish_reason=_member(_REASON_OF, message.finish_reason, "finish_reason") if message.finish_reason else None,
        usage=usage_from_wire(message.usage) if message.HasField("usage") else None,
        model=message.model,
    )


def parts_from_wire(parts: Any) -> tuple[events.Part, ...]:
    """All parts of a message; the error names the one at fault as `parts[2]`."""
    return tuple(part_from_wire(part, f"parts[{index}]") for index, part in enumerate(parts))


def usage_to_wire(usage: events.Usage) -> message_pb2.Usage:
    return _copy_to_wire(usage, message_pb2.Usage)


def usage_from_wire(usage: message_pb2.Usage) -> events.Usage:
    return _copy_from_wire(usage, events.Usage)


def metrics_to_wire(metrics: events.Metrics) -> message_pb2.Metrics:
    return _copy_to_wire(metrics, message_pb2.Metrics)


def metrics_from_wire(metrics: message_pb2.Metrics) -> events.Metrics:
    return _copy_from_wire(metrics, events.Metrics)


def sampling_to_wire(options: events.SamplingOptions) -> message_pb2.SamplingOptions:
    """Fractions are sent as 32-bit floats."""
    return message_pb2.SamplingOptions(**options)


def sampling_from_wire(options: message_pb2.SamplingOptions) -> events.SamplingOptions:
    """Only the options that were set; an empty `stop` or `logit_bias` counts as unset."""
    given: dict[str, Any] = {field.name: value for field, value in options.ListFields()}
    if "stop" in given:
        given["stop"] = tuple(given["stop"])
    if "logit_bias" in given:
        given["logit_bias"] = dict(given["logit_bias"])
    return cast(events.SamplingOptions, given)  # the names and types are those of the .proto


# --- events of a turn -----------------------------------------------------------------------------


def event_to_wire(event: events.TurnEvent) -> assistant_pb2.AskResponse:
    """Deltas come first: there is one for every token."""
    match event:
        case events.TextDelta(text=text):
            return assistant_pb2.AskResponse(text_delta=assistant_pb2.TextDelta(text=text))
        case events.ReasoningDelta(text=text):
            return assistant_pb2.AskResponse(reasoning_delta=assistant_pb2.ReasoningDelta(text=text))
        case events.Started():
            return assistant_pb2.AskResponse(started=_copy_to_wire(event, assistant_pb2.Started))
        case events.ContextTrimmed():
            return assistant_pb2.AskResponse(context_trimmed=_copy_to_wire(event, assistant_pb2.ContextTrimmed))
        case events.Measured(usage=usage, metrics=metrics):
            measured = assistant_pb2.Measured(usage=usage_to_wire(usage), metrics=metrics_to_wire(metrics))
            return assistant_pb2.AskResponse(measured=measured)
        case events.Finished(finish_reason=reason):
            return assistant_pb2.AskResponse(finished=assistant_pb2.Finished(finish_reason=_REASONS[reason]))


def event_from_wire(response: assistant_pb2.AskResponse) -> events.TurnEvent:
    match response.WhichOneof("event"):
        case "text_delta":
            return events.TextDelta(text=response.text_delta.text)
        case "reasoning_delta":
            return events.ReasoningDelta(text=response.reasoning_delta.text)
        case "started":
            return _copy_from_wire(response.started, events.Started)
        case "context_trimmed":
            return _copy_from_wire(response.context_trimmed, events.ContextTrimmed)
        case "measured":
            measured = response.measured
            return events.Measured(usage=usage_from_wire(measured.usage), metrics=metrics_from_wire(measured.metrics))
        case "finished":
            reason = _member(_REASON_OF, response.finished.finish_reason, "finish_reason")
            return events.Finished(finish_reason=reason)
        case _:
            raise InvalidInput("the event is of an unknown kind", field="event")


# --- records --------------------------------------------------------------------------------------


def conversation_to_wire(conversation: records.Conversation) -> conversation_pb2.Conversation:
    return conversation_pb2.Conversation(
        id=conversation.id,
        title=conversation.title,
        created_at=time_to_wire(conversation.created_at),
        updated_at=time_to_wire(conversation.updated_at),
        message_count=conversation.message_count,
    )


def conversation_from_wire(conversation: conversation_pb2.Conversation) -> records.Conversation:
    return records.Conversation(
        id=conversation.id,
        title=conversation.title,
        created_at=time_from_wire(conversation.created_at, "created_at"),
        updated_at=time_from_wire(conversation.updated_at, "updated_at"),
        message_count=conversation.message_count,
    )


_TranscriptProto = TypeVar(
    "_TranscriptProto",
    conversation_pb2.GetConversationResponse,
    conversation_pb2.ExportConversationsResponse,
)


def transcript_to_wire(transcript: records.Transcript, kind: type[_TranscriptProto]) -> _TranscriptProto:
    """`kind` is one of the two responses that hold a conversation with its messages."""
    return kind(
        conversation=conversation_to_wire(transcript.conversation),
        messages=[message_to_wire(message) for message in transcript.messages],
    )


def transcript_from_wire(
    transcript: conversation_pb2.GetConversationResponse | conversation_pb2.ExportConversationsResponse,
) -> records.Transcript:
    return records.Transcript(
        conversation=conversation_from_wire(transcript.conversation),
        messages=tuple(message_from_wire(message) for message in transcript.messages),
    )


def hit_to_wire(hit: records.SearchHit) -> conversation_pb2.SearchHit:
    return conversation_pb2.SearchHit(
        conversation=conversation_to_wire(hit.conversation),
        message_id=hit.message_id,
        role=_ROLES[hit.role],
        snippet=hit.snippet,
    )


def hit_from_wire(hit: conversation_pb2.SearchHit) -> records.SearchHit:
    return records.SearchHit(
        conversation=conversation_from_wire(hit.conversation),
        message_id=hit.message_id,
        role=_member(_ROLE_OF, hit.role, "role"),
        snippet=hit.snippet,
    )


def model_to_wire(model: records.ModelInfo) -> model_pb2.Model:
    return _copy_to_wire(model, model_pb2.Model)


def model_from_wire(model: model_pb2.Model) -> records.ModelInfo:
    """A daemon that does not say what an engine reads is one that knew text alone."""
    return replace(_copy_from_wire(model, records.ModelInfo), reads=tuple(model.reads) or ("text",))


def engine_to_wire(engine: records.EngineStatus) -> status_pb2.EngineStatus:
    load = [status_pb2.LayerLoad(experts=layer) for layer in engine.expert_load]
    return _copy_to_wire(engine, status_pb2.EngineStatus, expert_load=load)


def engine_from_wire(engine: status_pb2.EngineStatus) -> records.EngineStatus:
    load = tuple(tuple(layer.experts) for layer in engine.expert_load)
    return replace(_copy_from_wire(engine, records.EngineStatus), expert_load=load)


def status_to_wire(status: records.DaemonStatus) -> status_pb2.GetStatusResponse:
    privacy = status.privacy
    return status_pb2.GetStatusResponse(
        version=status.version,
        state=_DAEMON_STATES[status.state],
        started_at=time_to_wire(status.started_at),
        listening_on=status.listening_on,
        engine=engine_to_wire(status.engine),
        store=_copy_to_wire(status.store, status_pb2.StoreStatus),
        privacy=status_pb2.PrivacyStatus(
            enforcements=[_copy_to_wire(item, status_pb2.Enforcement) for item in privacy.enforcements],
            refused_connections=privacy.refused_connections,
            content_logging=privacy.content_logging,
        ),
    )


def status_from_wire(status: status_pb2.GetStatusResponse) -> records.DaemonStatus:
    privacy = status.privacy
    return records.DaemonStatus(
        version=status.version,
        state=_member(_DAEMON_STATE_OF, status.state, "state"),
        started_at=time_from_wire(status.started_at, "started_at"),
        listening_on=tuple(status.listening_on),
        engine=engine_from_wire(status.engine),
        store=_copy_from_wire(status.store, records.StoreStatus),
        privacy=records.PrivacyStatus(
            enforcements=tuple(_copy_from_wire(item, records.Enforcement) for item in privacy.enforcements),
            refused_connections=privacy.refused_connections,
            content_logging=privacy.content_logging,
        ),
    )
