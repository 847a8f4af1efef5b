"""Events of conversations by voice."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf.message import Message as ProtoMessage

from edged import voice_events
from edged.errors import InvalidInput
from edged.v1 import assistant_pb2, voice_pb2
from edged.voice_events import AudioEncoding, Opening, VoiceEvent, VoiceInput, VoiceMode, VoiceState
from edged.wire.turn import turn_event, turn_field
from edged.wire.values import copy_from_wire, copy_to_wire, inverse, member, numbers

_VOICE_STATES = numbers(VoiceState, voice_pb2.VoiceState, "VOICE_STATE")
_MODES = numbers(VoiceMode, voice_pb2.VoiceMode, "VOICE_MODE")
_ENCODINGS = numbers(AudioEncoding, voice_pb2.AudioEncoding, "AUDIO_ENCODING")
_MODE_OF = inverse(_MODES)
_ENCODING_OF = inverse(_ENCODINGS)
_VOICE_STATE_OF = inverse(_VOICE_STATES)
_PLAIN: Mapping[str, tuple[type[Any], type[ProtoMessage]]] = MappingProxyType(
    {
        "wake_detected": (voice_events.WakeDetected, voice_pb2.WakeDetected),
        "speech_began": (voice_events.SpeechBegan, voice_pb2.SpeechBegan),
        "speech_ended": (voice_events.SpeechEnded, voice_pb2.SpeechEnded),
        "partial_transcript": (voice_events.PartialTranscript, voice_pb2.PartialTranscript),
        "final_transcript": (voice_events.FinalTranscript, voice_pb2.FinalTranscript),
        "emotion_heard": (voice_events.EmotionHeard, voice_pb2.EmotionHeard),
        "speaking": (voice_events.Speaking, voice_pb2.Speaking),
        "spoken_audio": (voice_events.SpokenAudio, voice_pb2.SpokenAudio),
        "interrupted": (voice_events.Interrupted, voice_pb2.Interrupted),
        "volume_changed": (voice_events.VolumeChanged, voice_pb2.VolumeChanged),
        "turn_timings": (voice_events.TurnTimings, voice_pb2.TurnTimings),
        "turn_failed": (voice_events.TurnFailed, voice_pb2.TurnFailed),
    }
)
"""Events whose fields have the same names and scalar types on both sides."""
_NAME_OF = {kind: name for name, (kind, _) in _PLAIN.items()}


def opening_to_wire(opening: Opening) -> voice_pb2.OpenConversation:
    return voice_pb2.OpenConversation(
        conversation_id=opening.conversation_id,
        model=opening.model,
        mode=_MODES[opening.mode],
        encoding=_ENCODINGS[opening.encoding],
        is_echo_cancelled=opening.is_echo_cancelled,
        incognito=opening.incognito,
    )


def opening_from_wire(opening: voice_pb2.OpenConversation) -> Opening:
    return Opening(
        conversation_id=opening.conversation_id,
        model=opening.model,
        mode=member(_MODE_OF, opening.mode, "mode"),
        encoding=member(_ENCODING_OF, opening.encoding, "encoding"),
        is_echo_cancelled=opening.is_echo_cancelled,
        incognito=opening.incognito,
    )


def input_to_wire(piece: VoiceInput) -> assistant_pb2.ConverseRequest:
    match piece:
        case voice_events.SpokenInput(data=data):
            return assistant_pb2.ConverseRequest(audio=voice_pb2.SpokenInput(data=data))
        case voice_events.Button(is_pressed=is_pressed):
            return assistant_pb2.ConverseRequest(button=voice_pb2.Button(is_pressed=is_pressed))
        case voice_events.Stop():
            return assistant_pb2.ConverseRequest(stop=voice_pb2.Stop())
        case voice_events.PlaybackReport(played_seconds=seconds):
            return assistant_pb2.ConverseRequest(playback=voice_pb2.PlaybackReport(played_seconds=seconds))
        case voice_events.EndOfSpeech():
            return assistant_pb2.ConverseRequest(end_of_speech=voice_pb2.EndOfSpeech())


def input_from_wire(request: assistant_pb2.ConverseRequest) -> VoiceInput:
    match request.WhichOneof("request"):
        case "audio":
            return voice_events.SpokenInput(data=request.audio.data)
        case "button":
            return voice_events.Button(is_pressed=request.button.is_pressed)
        case "stop":
            return voice_events.Stop()
        case "playback":
            return voice_events.PlaybackReport(played_seconds=request.playback.played_seconds)
        case "end_of_speech":
            return voice_events.EndOfSpeech()
        case "open":
            raise InvalidInput("the conversation is open already", field="open")
        case _:
            raise InvalidInput("the request is of an unknown kind", field="request")


def voice_event_to_wire(event: VoiceEvent) -> voice_pb2.VoiceEvent:
    if isinstance(event, voice_events.StateChanged):
        return voice_pb2.VoiceEvent(state_changed=voice_pb2.StateChanged(state=_VOICE_STATES[event.state]))
    if name := _NAME_OF.get(type(event)):
        plain: dict[str, Any] = {name: copy_to_wire(event, _PLAIN[name][1])}
        return voice_pb2.VoiceEvent(**plain)
    return voice_pb2.VoiceEvent(**turn_field(event))  # type: ignore[arg-type]  # what is left are a turn's


def voice_event_from_wire(event: voice_pb2.VoiceEvent) -> VoiceEvent:
    name = event.WhichOneof("event") or ""
    if name == "state_changed":
        return voice_events.StateChanged(state=member(_VOICE_STATE_OF, event.state_changed.state, "state"))
    if name in _PLAIN:
        return copy_from_wire(getattr(event, name), _PLAIN[name][0])  # type: ignore[no-any-return]
    return turn_event(event)
