"""What can be looked at: conversations, engines, the daemon's state."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from edged import records
from edged.v1 import conversation_pb2, model_pb2, speaker_pb2, status_pb2
from edged.wire.capture import camera_from_wire, camera_to_wire
from edged.wire.messages import ROLE_OF, ROLES, message_from_wire, message_to_wire
from edged.wire.values import copy_from_wire, copy_to_wire, inverse, member, numbers, time_from_wire, time_to_wire

_DAEMON_STATES = numbers(records.DaemonState, status_pb2.DaemonState, "DAEMON_STATE")
_MICROPHONES = numbers(records.MicrophoneState, status_pb2.MicrophoneState, "MICROPHONE_STATE")
_MICROPHONE_OF = inverse(_MICROPHONES)
_DAEMON_STATE_OF = inverse(_DAEMON_STATES)


def conversation_to_wire(conversation: records.Conversation) -> conversation_pb2.Conversation:
    return conversation_pb2.Conversation(
        id=conversation.id,
        title=conversation.title,
        created_at=time_to_wire(conversation.created_at),
        updated_at=time_to_wire(conversation.updated_at),
        message_count=conversation.message_count,
        owner=conversation.owner,
    )


def conversation_from_wire(conversation: conversation_pb2.Conversation) -> records.Conversation:
    return records.Conversation(
        id=conversation.id,
        title=conversation.title,
        created_at=time_from_wire(conversation.created_at, "created_at"),
        updated_at=time_from_wire(conversation.updated_at, "updated_at"),
        message_count=conversation.message_count,
        owner=conversation.owner,
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
        role=ROLES[hit.role],
        snippet=hit.snippet,
    )


def hit_from_wire(hit: conversation_pb2.SearchHit) -> records.SearchHit:
    return records.SearchHit(
        conversation=conversation_from_wire(hit.conversation),
        message_id=hit.message_id,
        role=member(ROLE_OF, hit.role, "role"),
        snippet=hit.snippet,
    )


def speaker_to_wire(speaker: records.EnrolledSpeaker) -> speaker_pb2.Speaker:
    return speaker_pb2.Speaker(name=speaker.name, created_at=time_to_wire(speaker.created_at))


def speaker_from_wire(speaker: speaker_pb2.Speaker) -> records.EnrolledSpeaker:
    return records.EnrolledSpeaker(name=speaker.name, created_at=time_from_wire(speaker.created_at, "created_at"))


def model_to_wire(model: records.ModelInfo) -> model_pb2.Model:
    return copy_to_wire(model, model_pb2.Model)


def model_from_wire(model: model_pb2.Model) -> records.ModelInfo:
    """A daemon that does not say what an engine reads is one that knew text alone."""
    return replace(copy_from_wire(model, records.ModelInfo), reads=tuple(model.reads) or ("text",))


def engine_to_wire(engine: records.EngineStatus) -> status_pb2.EngineStatus:
    load = [status_pb2.LayerLoad(experts=layer) for layer in engine.expert_load]
    return copy_to_wire(engine, status_pb2.EngineStatus, expert_load=load)


def engine_from_wire(engine: status_pb2.EngineStatus) -> records.EngineStatus:
    load = tuple(tuple(layer.experts) for layer in engine.expert_load)
    return replace(copy_from_wire(engine, records.EngineStatus), expert_load=load)


def voice_to_wire(voice: records.VoiceStatus) -> status_pb2.VoiceStatus:
    return copy_to_wire(voice, status_pb2.VoiceStatus, microphone=_MICROPHONES[voice.microphone])


def voice_from_wire(voice: status_pb2.VoiceStatus) -> records.VoiceStatus:
    microphone = member(_MICROPHONE_OF, voice.microphone, "microphone")
    return replace(copy_from_wire(voice, records.VoiceStatus), microphone=microphone)


def store_to_wire(store: records.StoreStatus) -> status_pb2.StoreStatus:
    oldest = time_to_wire(store.oldest_message_at) if store.oldest_message_at else None
    return copy_to_wire(store, status_pb2.StoreStatus, oldest_message_at=oldest)


def store_from_wire(store: status_pb2.StoreStatus) -> records.StoreStatus:
    has_messages = store.HasField("oldest_message_at")
    oldest = time_from_wire(store.oldest_message_at, "oldest_message_at") if has_messages else None
    return replace(copy_from_wire(store, records.StoreStatus), oldest_message_at=oldest)


def status_to_wire(status: records.DaemonStatus) -> status_pb2.GetStatusResponse:
    privacy = status.privacy
    return status_pb2.GetStatusResponse(
        version=status.version,
        state=_DAEMON_STATES[status.state],
        started_at=time_to_wire(status.started_at),
        listening_on=status.listening_on,
        engine=engine_to_wire(status.engine),
        store=store_to_wire(status.store),
        privacy=status_pb2.PrivacyStatus(
            enforcements=[copy_to_wire(item, status_pb2.Enforcement) for item in privacy.enforcements],
            refused_connections=privacy.refused_connections,
            content_logging=privacy.content_logging,
            refusals=[copy_to_wire(item, status_pb2.Refusal) for item in privacy.refusals],
        ),
        voice=voice_to_wire(status.voice) if status.voice else None,
        camera=camera_to_wire(status.camera) if status.camera else None,
        tools=[copy_to_wire(tool, status_pb2.ToolStatus) for tool in status.tools],
    )


def status_from_wire(status: status_pb2.GetStatusResponse) -> records.DaemonStatus:
    privacy = status.privacy
    return records.DaemonStatus(
        version=status.version,
        state=member(_DAEMON_STATE_OF, status.state, "state"),
        started_at=time_from_wire(status.started_at, "started_at"),
        listening_on=tuple(status.listening_on),
        engine=engine_from_wire(status.engine),
        store=store_from_wire(status.store),
        privacy=records.PrivacyStatus(
            enforcements=tuple(copy_from_wire(item, records.Enforcement) for item in privacy.enforcements),
            refused_connections=privacy.refused_connections,
            content_logging=privacy.content_logging,
            refusals=tuple(copy_from_wire(item, records.Refusal) for item in privacy.refusals),
        ),
        voice=voice_from_wire(status.voice) if status.HasField("voice") else None,
        camera=camera_from_wire(status.camera) if status.HasField("camera") else None,
        tools=tuple(copy_from_wire(tool, records.ToolStatus) for tool in status.tools),
    )
