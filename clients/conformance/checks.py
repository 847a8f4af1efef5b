"""What a client should do, and how it shows from the daemon's side that it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from clients.conformance.engine import RETRY_SECONDS, ScriptedEngine
from clients.conformance.relay import Call, Cut
from edged.v1 import assistant_pb2

ASK = "/edged.v1.AssistantService/Ask"
CONVERSE = "/edged.v1.AssistantService/Converse"
HEALTH = "/grpc.health.v1.Health/"
CANCEL_AFTER = 3
"""Deltas."""
LONGEST_DEADLINE = 5.0
"""Seconds."""
LATEST_RETRY = 10.0
LEAST_SOUND_BYTES = 32_000
"""A second of PCM16; of Opus it is less, and is not measured."""
NEWER_EVENT = b"\xc2\x3e\x02hi"
"""Field 1000 of an AskResponse, which a later version of the contract might have."""
NEWER_FIELD = b"\xc2\x3e\x00"


@dataclass(slots=True)
class Check:
    """One thing that a client does right, or not."""

    task: str
    """What the client is to do; for people who write one."""
    has_passed: bool = False
    problem: str = ""
    """What was seen in its place, the last time."""

    @property
    def result(self) -> str:
        """A line that begins with passed, failed or not tried."""
        if self.has_passed:
            return "passed"
        return f"failed: {self.problem}" if self.problem else f"not tried: {self.task}"


TASKS = {
    "health": "call grpc.health.v1.Health/Check or Watch",
    "stream": 'ask "stream", read the answer to its end, ask "stream" and its last word',
    "unknown": 'the same with "unknown": the stream holds events of kinds that do not exist yet',
    "long": 'ask "long" (5 MiB), fetch it with GetConversation, ask "long" and the last 8 letters of the answer',
    "cancel": f'ask "cancel", and cancel the call after {CANCEL_AFTER} deltas or more: the answer has no end',
    "deadline": f'ask "deadline" with a deadline of at most {LONGEST_DEADLINE:.0f} s: the answer stands still',
    "details": 'ask "details", which is refused: ask "details", ErrorInfo.reason and the field of BadRequest',
    "retry": 'ask "retry", which is refused with a RetryInfo: ask it again when that says, and not before',
    "voice": "converse by push to talk: button, at least a second of sound, button, end of speech; read to the end",
    "pair": "pair as a program, by the code or the link (serve --lan)",
    "certificate": "call by TLS with the certificate of the pairing (serve --lan)",
    "resume": "the first conversation by voice breaks off after the transcript: open it again, and miss nothing",
}


class Pairing(Protocol):
    """Whoever lets devices in."""

    @property
    def has_paired(self) -> bool:
        """One was let in."""
        ...

    @property
    def has_called(self) -> bool:
        """It used its certificate."""
        ...


class Observer:
    """Watches calls; satisfies `relay.Witness`."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self._checks = {name: Check(task) for name, task in TASKS.items()}
        self.pairing: Pairing | None = None
        """None where no device can be paired."""
        self._cut_session = ""
        """Of the conversation that was broken off."""
        self._session = ""
        self._last_sequence = 0

    @property
    def checks(self) -> Mapping[str, Check]:
        """By name, as they stand now."""
        if self.pairing:
            self._checks["pair"].has_passed |= self.pairing.has_paired
            self._checks["certificate"].has_passed |= self.pairing.has_called
        return self._checks

    def sent(self, call: Call, response: bytes) -> list[bytes]:
        """Part of Witness."""
        if call.method == ASK and _question(call) == ["unknown"]:
            return [NEWER_EVENT, response + NEWER_FIELD] if call.responses % 3 == 0 else [response]
        if call.method == CONVERSE:
            self._heard(assistant_pb2.ConverseResponse.FromString(response))
        return [response]

    def ended(self, call: Call) -> None:
        """Part of Witness."""
        if call.method.startswith(HEALTH):
            self._checks["health"].has_passed |= call.responses > 0
        elif call.method == ASK:
            self._asked(call)
        elif call.method == CONVERSE:
            self._conversed(call)

    def _asked(self, call: Call) -> None:
        match _question(call):
            case ["stream" | "unknown" | "long" as name, said]:
                self._judge(name, said == self._engine.code_words[name], f"{said!r} is not how the answer ended")
            case ["details", reason, field]:
                is_right = (reason, field) == ("INVALID_INPUT", self._engine.code_words["details"])
                self._judge("details", is_right, f"{reason} {field} is not what the details say")
            case ["cancel"]:
                is_right = call.status == "CANCELLED" and call.responses > CANCEL_AFTER
                self._judge("cancel", is_right, f"it ended with {call.status} after {call.responses} responses")
            case ["deadline"]:
                had = call.deadline_seconds
                is_right = call.status in ("CANCELLED", "DEADLINE_EXCEEDED") and had is not None
                is_right = is_right and (had or 0.0) <= LONGEST_DEADLINE
                self._judge("deadline", is_right, f"the deadline was {had} s, the call ended with {call.status}")
            case ["retry"] if call.status == "OK" and self._engine.refused_at is not None:
                waited = call.began_at - self._engine.refused_at
                is_right = RETRY_SECONDS - 0.05 <= waited <= LATEST_RETRY
                self._judge("retry", is_right, f"it came back after {waited:.2f} s, not {RETRY_SECONDS} s")

    def _heard(self, response: assistant_pb2.ConverseResponse) -> None:
        if response.WhichOneof("response") == "opened":
            self._session = response.opened.session_id
            return
        self._last_sequence = response.sequence
        if response.event.WhichOneof("event") == "started" and not self._cut_session:
            self._last_sequence -= 1  # this one is not delivered
            self._cut_session = self._session
            raise Cut

    def _conversed(self, call: Call) -> None:
        requests = [assistant_pb2.ConverseRequest.FromString(request) for request in call.requests]
        if not requests:
            return
        opening = requests[0].open
        if opening.session_id:
            is_right = opening.session_id == self._cut_session
            self._judge("resume", is_right and call.status == "OK", f"it took up {opening.session_id!r}: {call.status}")
        elif call.status == "OK":
            self._judge("resume", False, "a new session was opened in place of the one that broke")
        if call.status == "OK":
            self._judge("voice", True, "")
        elif call.status != "UNAVAILABLE":
            self._judge("voice", False, f"it ended with {call.status}")

    def _judge(self, name: str, is_right: bool, problem: str) -> None:
        check = self._checks[name]
        check.has_passed |= is_right
        check.problem = "" if check.has_passed else problem


def _question(call: Call) -> list[str]:
    """The words of the text that was asked."""
    if not call.requests:
        return []
    request = assistant_pb2.AskRequest.FromString(call.requests[0])
    return " ".join(part.text for part in request.parts).split()
