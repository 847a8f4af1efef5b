"""Messages, their parts, how they are sampled and what they cost."""

from __future__ import annotations

from typing import Any, cast

from edged import events
from edged.errors import InvalidInput
from edged.v1 import message_pb2
from edged.wire.values import (
    copy_from_wire,
    copy_to_wire,
    inverse,
    member,
    numbers,
    schema_to_wire,
    time_from_wire,
    time_to_wire,
)

ROLES = numbers(events.Role, message_pb2.Role, "ROLE")
_STATES = numbers(events.MessageState, message_pb2.MessageState, "MESSAGE_STATE")
REASONS = numbers(events.FinishReason, message_pb2.FinishReason, "FINISH_REASON")
ROLE_OF = inverse(ROLES)
_STATE_OF = inverse(_STATES)
REASON_OF = inverse(REASONS)


def part_to_wire(part: events.Part) -> message_pb2.Part:
    match part:
        case events.Text(text=text):
            return message_pb2.Part(text=text)
        case events.Image(data=data, media_type=media_type, description=description):
            blob = message_pb2.Blob(data=data, media_type=media_type)
            return message_pb2.Part(image=blob, description=description)
        case events.Audio(data=data, media_type=media_type, transcript=transcript):
            blob = message_pb2.Blob(data=data, media_type=media_type)
            return message_pb2.Part(audio=blob, transcript=transcript)
        case events.ToolCall():
            return message_pb2.Part(tool_call=copy_to_wire(part, message_pb2.ToolCall))
        case events.ToolResult():
            return message_pb2.Part(tool_result=copy_to_wire(part, message_pb2.ToolResult))


def part_from_wire(part: message_pb2.Part, field: str = "part") -> events.Part:
    match part.WhichOneof("content"):
        case "text":
            return events.Text(text=part.text)
        case "image":
            blob = part.image
            return events.Image(data=blob.data, media_type=blob.media_type, description=part.description)
        case "audio":
            blob = part.audio
            return events.Audio(data=blob.data, media_type=blob.media_type, transcript=part.transcript)
        case "tool_call":
            return copy_from_wire(part.tool_call, events.ToolCall)
        case "tool_result":
            return copy_from_wire(part.tool_result, events.ToolResult)
        case _:
            raise InvalidInput(f"{field} holds nothing that this daemon knows", field=field)


def message_to_wire(message: events.Message) -> message_pb2.Message:
    return message_pb2.Message(
        id=message.id,
        role=ROLES[message.role],
        parts=[part_to_wire(part) for part in message.parts],
        reasoning=message.reasoning,
        state=_STATES[message.state],
        created_at=time_to_wire(message.created_at) if message.created_at else None,
        finish_reason=REASONS[message.finish_reason] if message.finish_reason else None,
        usage=usage_to_wire(message.usage) if message.usage else None,
        model=message.model,
    )


def message_from_wire(message: message_pb2.Message) -> events.Message:
    return events.Message(
        id=message.id,
        role=member(ROLE_OF, message.role, "role"),
        parts=parts_from_wire(message.parts),
        reasoning=message.reasoning,
        state=member(_STATE_OF, message.state, "state"),
        created_at=time_from_wire(message.created_at, "created_at") if message.HasField("created_at") else None,
        finish_reason=member(REASON_OF, message.finish_reason, "finish_reason") if message.finish_reason else None,
        usage=usage_from_wire(message.usage) if message.HasField("usage") else None,
        model=message.model,
    )


def parts_from_wire(parts: Any) -> tuple[events.Part, ...]:
    """All parts of a message; the error names the one at fault as `parts[2]`."""
    return tuple(part_from_wire(part, f"parts[{index}]") for index, part in enumerate(parts))


def output_to_wire(output: events.OutputFormat) -> message_pb2.OutputFormat:
    match output.kind:
        case events.OutputKind.CHOICES:
            return message_pb2.OutputFormat(choices=message_pb2.Choices(values=output.choices))
        case events.OutputKind.JSON:
            return message_pb2.OutputFormat(json=message_pb2.JsonObject())
        case events.OutputKind.JSON_SCHEMA:
            return message_pb2.OutputFormat(json_schema=schema_to_wire(output.text, "output.json_schema"))
        case events.OutputKind.REGEX:
            return message_pb2.OutputFormat(regex=output.text)
        case events.OutputKind.LARK:
            return message_pb2.OutputFormat(lark=output.text)


def output_from_wire(output: message_pb2.OutputFormat) -> events.OutputFormat:
    name = output.WhichOneof("format")
    if name is None:
        raise InvalidInput("output says no form that this daemon knows", field="output")
    kind = events.OutputKind(name)
    if kind is events.OutputKind.CHOICES:
        return events.OutputFormat(kind=kind, choices=tuple(output.choices.values))
    text = "" if kind is events.OutputKind.JSON else getattr(output, name)
    return events.OutputFormat(kind=kind, text=text)


def usage_to_wire(usage: events.Usage) -> message_pb2.Usage:
    return copy_to_wire(usage, message_pb2.Usage)


def usage_from_wire(usage: message_pb2.Usage) -> events.Usage:
    return copy_from_wire(usage, events.Usage)


def metrics_to_wire(metrics: events.Metrics) -> message_pb2.Metrics:
    return copy_to_wire(metrics, message_pb2.Metrics)


def metrics_from_wire(metrics: message_pb2.Metrics) -> events.Metrics:
    return copy_from_wire(metrics, events.Metrics)


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
