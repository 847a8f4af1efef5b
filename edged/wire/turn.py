"""Events of a turn, which answers and conversations by voice carry under the same names."""

from __future__ import annotations

from typing import Any

from edged import events
from edged.errors import InvalidInput
from edged.v1 import assistant_pb2, turn_pb2, voice_pb2
from edged.wire.messages import (
    REASON_OF,
    REASONS,
    metrics_from_wire,
    metrics_to_wire,
    usage_from_wire,
    usage_to_wire,
)
from edged.wire.values import copy_from_wire, copy_to_wire, member

Carrier = assistant_pb2.AskResponse | voice_pb2.VoiceEvent
"""What has a turn's events among the cases of its oneof."""


def event_to_wire(event: events.TurnEvent) -> assistant_pb2.AskResponse:
    return assistant_pb2.AskResponse(**turn_field(event))


def event_from_wire(response: assistant_pb2.AskResponse) -> events.TurnEvent:
    return turn_event(response)


def turn_field(event: events.TurnEvent) -> dict[str, Any]:
    """The case of the oneof and what it holds. Deltas come first: there is one for every token."""
    match event:
        case events.TextDelta(text=text, logprobs=logprobs):
            return {"text_delta": turn_pb2.TextDelta(text=text, logprobs=map(_logprob_to_wire, logprobs))}
        case events.ReasoningDelta(text=text):
            return {"reasoning_delta": turn_pb2.ReasoningDelta(text=text)}
        case events.ToolCallDelta():
            return {"tool_call_delta": copy_to_wire(event, turn_pb2.ToolCallDelta)}
        case events.ToolCallStarted():
            return {"tool_call_started": copy_to_wire(event, turn_pb2.ToolCallStarted)}
        case events.ToolReturned():
            return {"tool_returned": copy_to_wire(event, turn_pb2.ToolReturned)}
        case events.Started():
            return {"started": copy_to_wire(event, turn_pb2.Started)}
        case events.Transcribed():
            return {"transcribed": copy_to_wire(event, turn_pb2.Transcribed)}
        case events.ContextTrimmed():
            return {"context_trimmed": copy_to_wire(event, turn_pb2.ContextTrimmed)}
        case events.Measured(usage=usage, metrics=metrics):
            return {"measured": turn_pb2.Measured(usage=usage_to_wire(usage), metrics=metrics_to_wire(metrics))}
        case events.Finished(finish_reason=reason):
            return {"finished": turn_pb2.Finished(finish_reason=REASONS[reason])}


def turn_event(carrier: Carrier) -> events.TurnEvent:
    """Raises InvalidInput where the oneof holds none of them."""
    match carrier.WhichOneof("event"):
        case "text_delta":
            delta = carrier.text_delta
            return events.TextDelta(text=delta.text, logprobs=tuple(map(_logprob_from_wire, delta.logprobs)))
        case "reasoning_delta":
            return events.ReasoningDelta(text=carrier.reasoning_delta.text)
        case "tool_call_delta":
            return copy_from_wire(carrier.tool_call_delta, events.ToolCallDelta)
        case "tool_call_started":
            return copy_from_wire(carrier.tool_call_started, events.ToolCallStarted)
        case "tool_returned":
            return copy_from_wire(carrier.tool_returned, events.ToolReturned)
        case "started":
            return copy_from_wire(carrier.started, events.Started)
        case "transcribed":
            return copy_from_wire(carrier.transcribed, events.Transcribed)
        case "context_trimmed":
            return copy_from_wire(carrier.context_trimmed, events.ContextTrimmed)
        case "measured":
            measured = carrier.measured
            return events.Measured(usage=usage_from_wire(measured.usage), metrics=metrics_from_wire(measured.metrics))
        case "finished":
            reason = member(REASON_OF, carrier.finished.finish_reason, "finish_reason")
            return events.Finished(finish_reason=reason)
        case _:
            raise InvalidInput("the event is of an unknown kind", field="event")


def _logprob_to_wire(token: events.TokenLogprob) -> turn_pb2.TokenLogprob:
    top = map(_logprob_to_wire, token.top)
    return turn_pb2.TokenLogprob(text=token.text, data=token.data, logprob=token.logprob, top=top)


def _logprob_from_wire(token: turn_pb2.TokenLogprob) -> events.TokenLogprob:
    """Alternatives have no alternatives."""
    top = tuple(events.TokenLogprob(text=one.text, data=one.data, logprob=one.logprob) for one in token.top)
    return events.TokenLogprob(text=token.text, data=token.data, logprob=token.logprob, top=top)
