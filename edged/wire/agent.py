"""Steps of driving a phone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from edged import events, records
from edged.errors import InvalidInput
from edged.v1 import agent_pb2 as pb
from edged.v1 import message_pb2, turn_pb2
from edged.wire.messages import metrics_from_wire, metrics_to_wire, usage_from_wire, usage_to_wire
from edged.wire.values import inverse, member, numbers

StepEvent = events.ReasoningDelta | records.PhoneStep | events.Measured
_LANGUAGES = numbers(records.PhoneLanguage, pb.PhoneLanguage, "PHONE_LANGUAGE")
_LANGUAGE_OF = inverse(_LANGUAGES)
_ACTIONS: Mapping[str, tuple[type[records.PhoneAction], Any]] = MappingProxyType(
    {
        "launch": (records.Launch, pb.Launch),
        "tap": (records.Tap, pb.Tap),
        "double_tap": (records.DoubleTap, pb.DoubleTap),
        "long_press": (records.LongPress, pb.LongPress),
        "swipe": (records.Swipe, pb.Swipe),
        "type_text": (records.TypeText, pb.TypeText),
        "type_name": (records.TypeName, pb.TypeName),
        "back": (records.Back, pb.Back),
        "home": (records.Home, pb.Home),
        "wait": (records.Wait, pb.Wait),
        "take_over": (records.TakeOver, pb.TakeOver),
        "interact": (records.Interact, pb.Interact),
        "note": (records.Note, pb.Note),
        "call_api": (records.CallApi, pb.CallApi),
        "finish": (records.Finish, pb.Finish),
    }
)
"""By the case of the oneof."""
_CASES = {record: case for case, (record, _) in _ACTIONS.items()}
_THOUSANDTHS = range(1000)


def action_to_wire(action: records.PhoneAction, width: int = 0, height: int = 0) -> pb.PhoneAction:
    """width, height: of the screenshot, in pixels; 0 where that is not known."""
    case = _CASES[type(action)]
    values = {field.name: getattr(action, field.name) for field in fields(action)}
    for name, value in values.items():
        if isinstance(value, records.ScreenPlace):
            x, y = value.pixel(width, height)
            values[name] = pb.ScreenPlace(x=value.x, y=value.y, pixel_x=x, pixel_y=y)
    return pb.PhoneAction(**{case: _ACTIONS[case][1](**values)})


def action_from_wire(action: pb.PhoneAction, field: str = "action") -> records.PhoneAction:
    case = action.WhichOneof("action")
    if case not in _ACTIONS:
        raise InvalidInput(f"{field} is none that this side knows", field=field)
    record, given = _ACTIONS[case][0], getattr(action, case)
    values: dict[str, Any] = {one.name: getattr(given, one.name) for one in fields(record)}
    for name, value in values.items():
        if isinstance(value, pb.ScreenPlace):
            values[name] = _place_from_wire(value if given.HasField(name) else None, f"{field}.{case}.{name}")
        elif name == "seconds" and value not in _THOUSANDTHS:
            raise InvalidInput(f"{field}.{case}.seconds must be from 0 to 999", field=f"{field}.{case}.seconds")
    return record(**values)


def step_request_to_wire(request: records.StepRequest) -> pb.StepRequest:
    return pb.StepRequest(
        task=request.task,
        screenshot=message_pb2.Blob(data=request.screenshot),
        history=[pb.PastStep(action=action_to_wire(step.action), failure=step.failure) for step in request.history],
        app=request.app,
        model=request.model,
        language=_LANGUAGES[request.language] if request.language else None,
        enable_thinking=request.enable_thinking,
        max_reasoning_tokens=request.max_reasoning_tokens,
    )


def step_request_from_wire(request: pb.StepRequest) -> records.StepRequest:
    return records.StepRequest(
        task=request.task,
        screenshot=request.screenshot.data,
        history=tuple(
            records.PastStep(action=action_from_wire(step.action, f"history[{number}].action"), failure=step.failure)
            for number, step in enumerate(request.history)
        ),
        app=request.app,
        model=request.model,
        language=member(_LANGUAGE_OF, request.language, "language") if request.language else None,
        enable_thinking=not request.HasField("enable_thinking") or request.enable_thinking,
        max_reasoning_tokens=request.max_reasoning_tokens if request.HasField("max_reasoning_tokens") else None,
    )


def step_event_to_wire(event: StepEvent) -> pb.StepResponse:
    match event:
        case events.ReasoningDelta(text=text):
            return pb.StepResponse(reasoning_delta=turn_pb2.ReasoningDelta(text=text))
        case records.PhoneStep(action=action, confirmation=reason, width=width, height=height, touched=touched):
            step = pb.PhoneStep(
                action=action_to_wire(action, width, height),
                needs_confirmation=bool(reason),
                confirmation_reason=reason,
                width=width,
                height=height,
                touched=touched,
            )
            return pb.StepResponse(step=step)
        case events.Measured(usage=usage, metrics=metrics):
            measured = turn_pb2.Measured(usage=usage_to_wire(usage), metrics=metrics_to_wire(metrics))
            return pb.StepResponse(measured=measured)


def step_event_from_wire(response: pb.StepResponse) -> StepEvent:
    match response.WhichOneof("event"):
        case "reasoning_delta":
            return events.ReasoningDelta(text=response.reasoning_delta.text)
        case "step":
            step = response.step
            needed = "the daemon asks for it" if step.needs_confirmation else ""
            return records.PhoneStep(
                action=action_from_wire(step.action),
                confirmation=step.confirmation_reason or needed,
                width=step.width,
                height=step.height,
                touched=step.touched,
            )
        case "measured":
            measured = response.measured
            return events.Measured(usage=usage_from_wire(measured.usage), metrics=metrics_from_wire(measured.metrics))
        case _:
            raise InvalidInput("the event is of an unknown kind", field="event")


def _place_from_wire(place: pb.ScreenPlace | None, field: str) -> records.ScreenPlace:
    if place is None or place.x not in _THOUSANDTHS or place.y not in _THOUSANDTHS:
        raise InvalidInput(f"{field} must be a place whose x and y are from 0 to 999", field=field)
    return records.ScreenPlace(x=place.x, y=place.y)
