"""What can be looked at: conversations, engines, and the daemon's own state.

Standard library only, like `events`: these cross every border, so each layer fills in its part and
`wire` carries them.
"""

from edged.records.conversations import (
    OPERATOR,
    Conversation,
    EnrolledSpeaker,
    Reader,
    SearchHit,
    Transcript,
)
from edged.records.devices import (
    AuditEvent,
    Device,
    DeviceKind,
    PairingCandidate,
    PairingEnd,
    PairingOffer,
    Scope,
)
from edged.records.pictures import (
    ColourShare,
    Corners,
    FoundText,
    PictureDescription,
    PictureText,
    SeenObject,
    TextLine,
    VisualCode,
)
from edged.records.status import (
    CameraFrame,
    CameraState,
    CameraStatus,
    DaemonState,
    DaemonStatus,
    Enforcement,
    EngineStatus,
    MicrophoneState,
    ModelInfo,
    PrivacyStatus,
    StoreStatus,
    VoiceStatus,
)

__all__ = [
    "OPERATOR",
    "AuditEvent",
    "CameraFrame",
    "CameraState",
    "CameraStatus",
    "ColourShare",
    "Conversation",
    "Corners",
    "DaemonState",
    "DaemonStatus",
    "Device",
    "DeviceKind",
    "Enforcement",
    "EngineStatus",
    "EnrolledSpeaker",
    "FoundText",
    "MicrophoneState",
    "ModelInfo",
    "PairingCandidate",
    "PairingEnd",
    "PairingOffer",
    "PictureDescription",
    "PictureText",
    "PrivacyStatus",
    "Reader",
    "Scope",
    "SearchHit",
    "SeenObject",
    "StoreStatus",
    "TextLine",
    "Transcript",
    "VisualCode",
    "VoiceStatus",
]
