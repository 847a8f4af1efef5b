"""The codec: events and records <-> the messages of `edged.v1`.

Every type has a pair `x_to_wire` and `x_from_wire` that undo each other. `_from_wire` reads what
somebody else sent, so it raises InvalidInput naming the field for an enum value or a oneof it does
not know; `_to_wire` raises ValueError for a value that protobuf cannot hold (a number out of its
range, a string that is not Unicode text).
"""

from edged.wire.messages import (
    message_from_wire,
    message_to_wire,
    metrics_from_wire,
    metrics_to_wire,
    part_from_wire,
    part_to_wire,
    parts_from_wire,
    sampling_from_wire,
    sampling_to_wire,
    usage_from_wire,
    usage_to_wire,
)
from edged.wire.records import (
    conversation_from_wire,
    conversation_to_wire,
    engine_from_wire,
    engine_to_wire,
    hit_from_wire,
    hit_to_wire,
    model_from_wire,
    model_to_wire,
    speaker_from_wire,
    speaker_to_wire,
    status_from_wire,
    status_to_wire,
    transcript_from_wire,
    transcript_to_wire,
    voice_from_wire,
    voice_to_wire,
)
from edged.wire.turn import event_from_wire, event_to_wire
from edged.wire.values import time_from_wire, time_to_wire
from edged.wire.voice import (
    input_from_wire,
    input_to_wire,
    opening_from_wire,
    opening_to_wire,
    voice_event_from_wire,
    voice_event_to_wire,
)

__all__ = [
    "conversation_from_wire",
    "conversation_to_wire",
    "engine_from_wire",
    "engine_to_wire",
    "event_from_wire",
    "event_to_wire",
    "hit_from_wire",
    "hit_to_wire",
    "input_from_wire",
    "input_to_wire",
    "message_from_wire",
    "message_to_wire",
    "metrics_from_wire",
    "metrics_to_wire",
    "model_from_wire",
    "model_to_wire",
    "opening_from_wire",
    "opening_to_wire",
    "part_from_wire",
    "part_to_wire",
    "parts_from_wire",
    "sampling_from_wire",
    "sampling_to_wire",
    "speaker_from_wire",
    "speaker_to_wire",
    "status_from_wire",
    "status_to_wire",
    "time_from_wire",
    "time_to_wire",
    "transcript_from_wire",
    "transcript_to_wire",
    "usage_from_wire",
    "usage_to_wire",
    "voice_event_from_wire",
    "voice_event_to_wire",
    "voice_from_wire",
    "voice_to_wire",
]
