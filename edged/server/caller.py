"""Who calls, and what that allows.

The operator, who can open this user's socket, may do everything; a device what its scopes say; a stranger may pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType

from edged.errors import PermissionDenied, Unauthenticated
from edged.records import OPERATOR, Device, Reader, Scope

NEEDED: Mapping[str, Scope | None] = MappingProxyType(
    {
        "/edged.v1.AgentService/Step": Scope.CHAT,
        "/edged.v1.AssistantService/Ask": Scope.CHAT,
        "/edged.v1.AssistantService/StopThinking": Scope.CHAT,
        "/edged.v1.AssistantService/Converse": Scope.VOICE,
        # They open the daemon's own microphone, and tell what is said in its room.
        "/edged.v1.AssistantService/WatchEvents": Scope.ADMIN,
        "/edged.v1.AssistantService/SetMicrophone": Scope.ADMIN,
        "/edged.v1.CaptureService/Snapshot": Scope.CAMERA,
        "/edged.v1.CaptureService/StreamFrames": Scope.CAMERA,
        "/edged.v1.CaptureService/GetCamera": Scope.CAMERA,
        "/edged.v1.CaptureService/WatchCamera": Scope.CAMERA,
        "/edged.v1.CaptureService/SetCamera": Scope.ADMIN,
        "/edged.v1.ConversationService/ListConversations": Scope.HISTORY,
        "/edged.v1.ConversationService/GetConversation": Scope.HISTORY,
        "/edged.v1.ConversationService/SearchConversations": Scope.HISTORY,
        "/edged.v1.ConversationService/RenameConversation": Scope.HISTORY,
        "/edged.v1.ConversationService/DeleteConversation": Scope.HISTORY,
        "/edged.v1.ConversationService/ExportConversations": Scope.HISTORY,
        "/edged.v1.ModelService/ListModels": None,
        "/edged.v1.ModelService/GetModel": None,
        "/edged.v1.SpeakerService/EnrolSpeaker": Scope.ADMIN,
        "/edged.v1.SpeakerService/ListSpeakers": Scope.ADMIN,
        "/edged.v1.SpeakerService/DeleteSpeaker": Scope.ADMIN,
        "/edged.v1.StatusService/GetStatus": None,
        "/edged.v1.VisionService/ReadText": Scope.CHAT,
        "/edged.v1.VisionService/Describe": Scope.CHAT,
        "/edged.v1.VisionService/Find": Scope.CHAT,
        "/edged.v1.DeviceService/OpenPairing": Scope.ADMIN,
        "/edged.v1.DeviceService/WatchPairing": Scope.ADMIN,
        "/edged.v1.DeviceService/ConfirmPairing": Scope.ADMIN,
        "/edged.v1.DeviceService/ListDevices": Scope.ADMIN,
        "/edged.v1.DeviceService/UpdateDevice": Scope.ADMIN,
        "/edged.v1.DeviceService/RevokeDevice": Scope.ADMIN,
        "/edged.v1.DeviceService/CreateApiKey": Scope.ADMIN,
        "/edged.v1.DeviceService/ListAuditEvents": Scope.ADMIN,
        "/edged.v1.DeviceService/GetOwnDevice": None,
        "/edged.v1.DeviceService/RenewCertificate": None,
        "/v1/models/{name:path}": None,
        "/v1/chat/completions": Scope.CHAT,
        "/v1/completions": Scope.CHAT,
        "/v1/embeddings": Scope.CHAT,
        "/v1/audio/speech": Scope.VOICE,
        "/v1/audio/transcriptions": Scope.VOICE,
        "/v1/audio/translations": Scope.VOICE,
    }
)
"""The scope that a device needs for a call, by method and by path of the HTTP API; None for any that is paired. What is
not here is for the operator."""
PAIRING = "/edged.v1.PairingService/"
"""Whoever reaches its methods may call them: that is how they get to be known."""
INCLUDES: Mapping[Scope, Scope] = MappingProxyType({Scope.HISTORY: Scope.HISTORY_ALL})
"""A scope, and the wider one that includes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Of one call."""

    device: Device | None = None
    """None for the operator, and for a stranger."""
    is_stranger: bool = False
    """Somebody who came by a door for devices, and is none that is known."""
    address: str = ""
    """IP address of a device."""

    @property
    def reader(self) -> Reader:
        """Whose conversations it sees. Raises Unauthenticated."""
        if self.is_stranger:
            raise _not_paired()
        if self.device is None:
            return OPERATOR
        scopes = frozenset(self.device.scopes)
        return Reader(owner=self.device.owner, sees_all=Scope.HISTORY_ALL in scopes, scopes=scopes)

    @property
    def is_administrator(self) -> bool:
        """The operator, or a device that may do almost as much."""
        return not self.is_stranger and (self.device is None or Scope.ADMIN in self.device.scopes)

    def require(self, method: str) -> None:
        """Whether it may call the method ("/edged.v1.Service/Method"). Raises Unauthenticated, PermissionDenied."""
        if method.startswith(PAIRING):
            return
        if self.is_stranger:
            raise _not_paired()
        if self.device is None:
            return
        if method not in NEEDED:
            raise PermissionDenied("this call is for the operator, on the daemon's own machine")
        needed = NEEDED[method]
        if needed is None or needed in self.device.scopes or INCLUDES.get(needed) in self.device.scopes:
            return
        raise PermissionDenied(
            f"this device lacks the scope {needed}: on the daemon's machine, "
            f"`edged devices update {self.device.id} {_options({*self.device.scopes, needed})}` grants it"
        )


def _options(scopes: Iterable[Scope]) -> str:
    return " ".join(f"--scope {scope}" for scope in Scope if scope in set(scopes))


def _not_paired() -> Unauthenticated:
    return Unauthenticated("this device is not paired: scan the link or type the code that `edged pair` shows")


_current: ContextVar[Caller] = ContextVar("edged caller")


def caller() -> Caller:
    """Of the call that is being answered. Raises LookupError outside of one: nobody is the operator by omission."""
    return _current.get()


def answer_for(who: Caller) -> None:
    """From here on this task answers that caller."""
    _current.set(who)
