"""What a daemon says in a conversation by voice."""

from __future__ import annotations

import numpy as np
from playwright.async_api import WebSocketRoute

from edged.v1 import assistant_pb2 as assistant
from edged.v1 import voice_pb2 as voice

RATE = 22_050
PIECE = (6000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("<i2").tobytes()
"""A second of sound."""


class VoiceScript:
    """Sends numbered events, as the daemon does."""

    def __init__(self) -> None:
        self.sequence = 0

    def tell(self, socket: WebSocketRoute, **event: object) -> None:
        self.sequence += 1
        message = assistant.ConverseResponse(sequence=self.sequence, event=voice.VoiceEvent(**event))  # type: ignore[arg-type]
        socket.send(message.SerializeToString())

    def answer(self, socket: WebSocketRoute, seconds: int = 2) -> None:
        self.tell(socket, final_transcript={"text": "What is the capital of France?"})
        self.tell(socket, started={"conversation_id": "c1", "model": "m"})
        self.tell(socket, text_delta={"text": "Paris, and **nothing** else."})
        self.tell(socket, state_changed={"state": voice.VOICE_STATE_SPEAKING})
        for count in range(seconds):
            sound = {"data": PIECE, "sample_rate": RATE, "is_last": count == seconds - 1}
            self.tell(socket, spoken_audio=sound)
        self.tell(socket, finished={"finish_reason": 1})
