"""The codec loses nothing, and refuses what it does not know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any, get_args

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from edged import events, records, voice_events, wire
from edged.errors import InvalidInput
from edged.v1 import (
    assistant_pb2,
    capture_pb2,
    conversation_pb2,
    message_pb2,
    model_pb2,
    speaker_pb2,
    status_pb2,
    turn_pb2,
    voice_pb2,
)

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False, width=32)
TIME = st.datetimes(timezones=st.just(UTC))
TEXT = st.text(max_size=20)

usages = st.builds(
    events.Usage, prompt_tokens=INT32, completion_tokens=INT32, cached_tokens=INT32, reasoning_tokens=INT32
)
alternatives = st.builds(events.TokenLogprob, data=st.binary(max_size=20), logprob=FLOAT)
logprobs = st.builds(
    events.TokenLogprob,
    data=st.binary(max_size=20),
    logprob=FLOAT,
    top=st.lists(alternatives, max_size=2).map(tuple),
)
metrics = st.builds(
    events.Metrics,
    ttft_ms=st.floats(allow_nan=False),
    prompt_tps=st.floats(allow_nan=False),
    generation_tps=st.floats(allow_nan=False),
    peak_bytes=INT64,
    queue_ms=st.floats(allow_nan=False),
)
tools = st.builds(events.Tool, name=TEXT, description=TEXT, parameters=TEXT)
unnamed = [choice for choice in events.ToolChoice if choice is not events.ToolChoice.NAMED]
tool_uses = st.one_of(
    st.builds(
        events.ToolUse, tools=st.lists(tools, max_size=3).map(tuple), choice=st.sampled_from(unnamed), name=st.just("")
    ),
    st.builds(
        events.ToolUse, tools=st.lists(tools, max_size=3).map(tuple), choice=st.just(events.ToolChoice.NAMED), name=TEXT
    ),
)
parts = st.one_of(
    st.builds(events.Text, text=TEXT),
    st.builds(events.Image, data=st.binary(max_size=20), media_type=TEXT, description=TEXT),
    st.builds(events.Audio, data=st.binary(max_size=20), media_type=TEXT, transcript=TEXT),
    st.builds(events.ToolCall, id=TEXT, name=TEXT, arguments=TEXT),
    st.builds(events.ToolResult, call_id=TEXT, content=TEXT),
)
messages = st.builds(
    events.Message,
    role=st.sampled_from(events.Role),
    parts=st.lists(parts, max_size=3).map(tuple),
    id=TEXT,
    reasoning=TEXT,
    state=st.sampled_from(events.MessageState),
    created_at=st.none() | TIME,
    finish_reason=st.none() | st.sampled_from(events.FinishReason),
    usage=st.none() | usages,
    model=TEXT,
)
turn_events = st.one_of(
    st.builds(events.Started),
    st.builds(events.Transcribed),
    st.builds(events.ContextTrimmed, dropped_messages=INT32),
    st.builds(events.TextDelta, logprobs=st.lists(logprobs, max_size=2).map(tuple)),
    st.builds(events.ReasoningDelta),
    st.builds(events.ToolCallStarted, index=INT32),
    st.builds(events.ToolCallDelta, index=INT32),
    st.builds(events.ToolReturned),
    st.builds(events.Measured, usage=usages, metrics=metrics),
    st.builds(events.Finished),
)
DOUBLE = st.floats(allow_nan=False)
voice = st.one_of(
    st.builds(voice_events.StateChanged),
    st.builds(voice_events.WakeDetected, phrase=TEXT),
    st.builds(voice_events.SpeechBegan),
    st.builds(voice_events.SpeechEnded, seconds=DOUBLE),
    st.builds(voice_events.PartialTranscript, text=TEXT),
    st.builds(voice_events.FinalTranscript, text=TEXT, speaker=TEXT),
    st.builds(voice_events.EmotionHeard, emotion=TEXT),
    st.builds(voice_events.Speaking, text=TEXT),
    st.builds(voice_events.SpokenAudio, data=st.binary(max_size=20), sample_rate=INT32),
    st.builds(voice_events.Interrupted, heard=TEXT),
    st.builds(voice_events.VolumeChanged, percent=INT32),
    st.builds(
        voice_events.TurnTimings,
        endpoint_ms=DOUBLE,
        transcript_ms=DOUBLE,
        first_token_ms=DOUBLE,
        first_audio_ms=DOUBLE,
    ),
    st.builds(voice_events.TurnFailed, code=TEXT, message=TEXT),
    turn_events,
)
openings = st.builds(voice_events.Opening, conversation_id=TEXT, model=TEXT)
inputs = st.one_of(
    st.builds(voice_events.SpokenInput, data=st.binary(max_size=20)),
    st.builds(voice_events.Button),
    st.builds(voice_events.Stop),
    st.builds(voice_events.EndOfSpeech),
    st.builds(voice_events.PlaybackReport, played_seconds=DOUBLE),
)
FRACTIONS = ("temperature", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty")
sampling_options = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("temperature", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty"), FLOAT
        ),
        "top_k": INT32,
        "max_tokens": INT32,
        "seed": st.integers(0, 2**64 - 1),
        "logit_bias": st.dictionaries(INT32, FLOAT, min_size=1, max_size=3),
        "stop": st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    },
)
outputs = st.one_of(
    st.builds(
        events.OutputFormat,
        kind=st.sampled_from([events.OutputKind.JSON_SCHEMA, events.OutputKind.REGEX, events.OutputKind.LARK]),
        text=TEXT,
    ),
    st.builds(
        events.OutputFormat,
        kind=st.just(events.OutputKind.CHOICES),
        text=st.just(""),
        choices=st.lists(TEXT, max_size=3).map(tuple),
    ),
    st.just(events.OutputFormat(kind=events.OutputKind.JSON)),
)
conversations = st.builds(records.Conversation, created_at=TIME, updated_at=TIME, message_count=INT32)
transcripts = st.builds(
    records.Transcript, conversation=conversations, messages=st.lists(messages, max_size=3).map(tuple)
)
hits = st.builds(records.SearchHit, conversation=conversations)
cameras = st.builds(records.CameraStatus, state=st.sampled_from(records.CameraState), source=TEXT, obstacle=TEXT)
frames = st.builds(records.CameraFrame, jpeg=st.binary(max_size=20), taken_at=TIME)
speakers = st.builds(records.EnrolledSpeaker, name=TEXT, created_at=TIME)
models = st.builds(
    records.ModelInfo,
    parameters=INT64,
    context_length=INT32,
    disk_bytes=INT64,
    reads=st.lists(TEXT, min_size=1, max_size=3).map(tuple),
)
statuses = st.builds(
    records.DaemonStatus,
    started_at=TIME,
    tools=st.lists(st.builds(records.ToolStatus), max_size=2).map(tuple),
    listening_on=st.lists(TEXT, max_size=2).map(tuple),
    engine=st.builds(
        records.EngineStatus,
        context_length=INT32,
        active_requests=INT32,
        queued_requests=INT32,
        max_queued_requests=INT32,
        cached_conversations=INT32,
        kv_cache_bytes=INT64,
        kv_cache_limit_bytes=INT64,
        load_seconds=st.floats(allow_nan=False),
        expert_load=st.lists(st.lists(st.floats(0, 1), max_size=3).map(tuple), max_size=2).map(tuple),
    ),
    store=st.builds(
        records.StoreStatus,
        database_bytes=INT64,
        attachment_bytes=INT64,
        oldest_message_at=st.none() | TIME,
        **dict.fromkeys(("conversations", "messages", "attachments", "voiceprints", "devices", "api_keys"), INT32),
        incognito_conversations=INT32,
    ),
    privacy=st.builds(
        records.PrivacyStatus,
        enforcements=st.lists(st.builds(records.Enforcement), max_size=3).map(tuple),
        refused_connections=INT32,
        refusals=st.lists(st.builds(records.Refusal, count=INT32), max_size=2).map(tuple),
    ),
    voice=st.none()
    | st.builds(
        records.VoiceStatus, overruns=INT32, underruns=INT32, reconnects=INT32, volume_percent=st.integers(0, 100)
    ),
    camera=st.none() | cameras,
)


def parsed_again(proto: Any) -> Any:
    return type(proto).FromString(proto.SerializeToString())


def round_trips(to_wire: Callable[[Any], Any], from_wire: Callable[[Any], Any], value: object) -> bool:
    return bool(from_wire(parsed_again(to_wire(value))) == value)


@given(turn_events)
def test_events(event: events.TurnEvent) -> None:
    assert round_trips(wire.event_to_wire, wire.event_from_wire, event)


@given(tool_uses)
def test_tool_uses(use: events.ToolUse) -> None:
    request = assistant_pb2.AskRequest(**wire.tool_use_to_wire(use))
    assert wire.tool_use_from_wire(request, most=3) == use


def test_what_a_request_leaves_unsaid_of_tools() -> None:
    assert wire.tool_use_from_wire(assistant_pb2.AskRequest(), most=3) is None
    many = assistant_pb2.AskRequest(tools=[message_pb2.Tool(name="a")] * 9)
    assert wire.tool_use_from_wire(many, most=3) == events.ToolUse(tools=(events.Tool(name="a"),) * 4)
    with pytest.raises(InvalidInput) as raised:
        wire.tool_use_from_wire(assistant_pb2.AskRequest(tool_choice={"mode": 99}), most=3)
    assert raised.value.field == "tool_choice"


@given(parts)
def test_parts(part: events.Part) -> None:
    assert round_trips(wire.part_to_wire, wire.part_from_wire, part)


@given(messages)
def test_messages(message: events.Message) -> None:
    assert round_trips(wire.message_to_wire, wire.message_from_wire, message)


@given(sampling_options)
def test_sampling_options_keep_what_is_set_and_nothing_else(options: events.SamplingOptions) -> None:
    assert round_trips(wire.sampling_to_wire, wire.sampling_from_wire, options)
    events.Sampling(**options)


@given(outputs)
def test_output_formats(output: events.OutputFormat) -> None:
    assert round_trips(wire.output_to_wire, wire.output_from_wire, output)


def test_every_kind_of_output_is_on_the_wire() -> None:
    (oneof,) = message_pb2.OutputFormat.DESCRIPTOR.oneofs
    assert {field.name for field in oneof.fields} == set(events.OutputKind)


def test_an_output_of_no_known_form_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        wire.output_from_wire(message_pb2.OutputFormat())
    assert caught.value.field == "output"


@given(transcripts)
def test_transcripts(transcript: records.Transcript) -> None:
    for kind in (conversation_pb2.GetConversationResponse, conversation_pb2.ExportConversationsResponse):
        assert wire.transcript_from_wire(parsed_again(wire.transcript_to_wire(transcript, kind))) == transcript


@given(hits)
def test_hits(hit: records.SearchHit) -> None:
    assert round_trips(wire.hit_to_wire, wire.hit_from_wire, hit)


@given(cameras, frames)
def test_cameras_and_frames(camera: records.CameraStatus, frame: records.CameraFrame) -> None:
    assert round_trips(wire.camera_to_wire, wire.camera_from_wire, camera)
    assert round_trips(wire.frame_to_wire, wire.frame_from_wire, frame)


@given(speakers)
def test_speakers(speaker: records.EnrolledSpeaker) -> None:
    assert round_trips(wire.speaker_to_wire, wire.speaker_from_wire, speaker)


@given(models)
def test_models(model: records.ModelInfo) -> None:
    assert round_trips(wire.model_to_wire, wire.model_from_wire, model)


@given(statuses)
def test_statuses(status: records.DaemonStatus) -> None:
    assert round_trips(wire.status_to_wire, wire.status_from_wire, status)


@given(voice)
def test_voice_events(event: voice_events.VoiceEvent) -> None:
    assert round_trips(wire.voice_event_to_wire, wire.voice_event_from_wire, event)


@given(openings)
def test_openings(opening: voice_events.Opening) -> None:
    assert round_trips(wire.opening_to_wire, wire.opening_from_wire, opening)


@given(inputs)
def test_inputs(piece: voice_events.VoiceInput) -> None:
    assert round_trips(wire.input_to_wire, wire.input_from_wire, piece)


def test_every_voice_event_has_its_place_on_the_wire() -> None:
    kinds = {kind.__name__ for kind in get_args(voice_events.VoiceEvent)}
    fields = {field.message_type.name for field in voice_pb2.VoiceEvent.DESCRIPTOR.fields}
    assert kinds == fields


def test_every_enum_value_on_the_wire_has_a_member() -> None:
    for proto, kind in (
        (message_pb2.Role, events.Role),
        (message_pb2.MessageState, events.MessageState),
        (message_pb2.FinishReason, events.FinishReason),
        (status_pb2.DaemonState, records.DaemonState),
        (status_pb2.MicrophoneState, records.MicrophoneState),
        (voice_pb2.VoiceState, voice_events.VoiceState),
        (voice_pb2.VoiceMode, voice_events.VoiceMode),
        (voice_pb2.AudioEncoding, voice_events.AudioEncoding),
    ):
        assert len(proto.DESCRIPTOR.values) == len(kind) + 1  # and UNSPECIFIED


@pytest.mark.parametrize(
    ("read", "proto", "field"),
    [
        (wire.event_from_wire, assistant_pb2.AskResponse(), "event"),
        (wire.event_from_wire, assistant_pb2.AskResponse(finished=turn_pb2.Finished()), "finish_reason"),
        (wire.voice_event_from_wire, voice_pb2.VoiceEvent(), "event"),
        (wire.voice_event_from_wire, voice_pb2.VoiceEvent(state_changed=voice_pb2.StateChanged()), "state"),
        (wire.opening_from_wire, voice_pb2.OpenConversation(), "mode"),
        (wire.opening_from_wire, voice_pb2.OpenConversation(mode=1), "encoding"),  # type: ignore[arg-type]
        (wire.input_from_wire, assistant_pb2.ConverseRequest(), "request"),
        (wire.input_from_wire, assistant_pb2.ConverseRequest(open=voice_pb2.OpenConversation()), "open"),
        (wire.part_from_wire, message_pb2.Part(), "part"),
        (wire.message_from_wire, message_pb2.Message(), "role"),
        (wire.message_from_wire, message_pb2.Message(role=99, state=2), "role"),  # type: ignore[arg-type]
        (wire.message_from_wire, message_pb2.Message(role=1), "state"),  # type: ignore[arg-type]
        (
            wire.message_from_wire,
            message_pb2.Message(role=1, state=2, finish_reason=7),  # type: ignore[arg-type]
            "finish_reason",
        ),
        (
            wire.message_from_wire,
            message_pb2.Message(role=1, state=2, parts=[message_pb2.Part(text="a"), message_pb2.Part()]),  # type: ignore[arg-type]
            "parts[1]",
        ),
        (wire.hit_from_wire, conversation_pb2.SearchHit(), "role"),
        (wire.status_from_wire, status_pb2.GetStatusResponse(), "state"),
        (wire.camera_from_wire, status_pb2.CameraStatus(state=99), "camera.state"),
        (wire.frame_from_wire, capture_pb2.Frame(taken_at=Timestamp(seconds=2**62)), "taken_at"),
        (wire.speaker_from_wire, speaker_pb2.Speaker(created_at=Timestamp(seconds=2**62)), "created_at"),
        (
            wire.conversation_from_wire,
            conversation_pb2.Conversation(created_at=Timestamp(seconds=2**62)),
            "created_at",
        ),
        (
            wire.message_from_wire,
            message_pb2.Message(role=1, state=2, created_at=Timestamp(nanos=-5)),  # type: ignore[arg-type]
            "created_at",
        ),
    ],
)
def test_what_is_unknown_or_missing_is_named(read: Callable[[Any], Any], proto: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(parsed_again(proto))
    assert raised.value.field == field


@pytest.mark.parametrize(
    "write",
    [
        lambda: wire.part_to_wire(events.Text(text="\udcff")),
        lambda: wire.sampling_to_wire({"seed": -1}),
        lambda: wire.sampling_to_wire({"top_k": 2**31}),
        lambda: wire.usage_to_wire(events.Usage(prompt_tokens=2**31, completion_tokens=0, cached_tokens=0)),
    ],
)
def test_what_protobuf_cannot_hold_is_a_value_error(write: Callable[[], Any]) -> None:
    with pytest.raises(ValueError):  # the sentence is protobuf's
        write()


def test_a_daemon_that_says_nothing_of_what_an_engine_reads_knew_text_alone() -> None:
    assert wire.model_from_wire(model_pb2.Model(name="old")).reads == ("text",)
