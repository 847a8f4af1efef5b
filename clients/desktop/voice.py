"""Push to talk within the conversation that goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clients.desktop.chat import ChatLog
from edged.cli.output import printable
from edged.client.push_to_talk import PushToTalk
from edged.errors import EdgedError
from edged.events import Started, Text, TurnEvent
from edged.voice_events import (
    EmotionHeard,
    FinalTranscript,
    Interrupted,
    Opening,
    StateChanged,
    TurnFailed,
    VoiceEvent,
    VoiceMode,
    VoiceState,
    VolumeChanged,
)

if TYPE_CHECKING:
    from clients.desktop.main import MainPage

_STATES = {
    VoiceState.WAITING: "top.waiting",
    VoiceState.LISTENING: "top.recording",
    VoiceState.THINKING: "top.answering",
    VoiceState.SPEAKING: "room.speaking",
}


class Talking:
    """One session: from the first press of the key until the conversation is left. For one event loop."""

    def __init__(self, page: MainPage) -> None:
        """Raises MissingExtra, and Unavailable where no daemon is reached."""
        self._page = page
        opening = Opening(mode=VoiceMode.PUSH_TO_TALK, conversation_id=page.conversation_id, model=page.model)
        microphone, speaker = page.desktop.own_devices(page.desktop.config.voice)
        self._session = PushToTalk(page.client.converse(opening), microphone, speaker)
        self._state = VoiceState.WAITING
        self._running = asyncio.create_task(self._run())

    @property
    def is_recording(self) -> bool:
        """The microphone is open."""
        return self._session.is_recording

    @property
    def is_over(self) -> bool:
        """It failed, or was closed."""
        return self._running.done()

    async def toggle(self) -> None:
        """Press or release. Raises what `PushToTalk.toggle` raises."""
        await self._session.toggle()

    async def stop(self) -> bool:
        """Be quiet, and drop what is being recorded; whether there was anything to stop."""
        if self.is_over or (self._state is VoiceState.WAITING and not self.is_recording):
            return False
        if self.is_recording:
            await self._session.toggle()
        await self._session.stop()
        return True

    async def close(self) -> None:
        """Let go of microphone and speaker."""
        self._running.cancel()
        await asyncio.wait({self._running})

    async def _run(self) -> None:
        try:
            await self._session.run(self._show)
        except EdgedError as exc:
            self._page.desktop.show_error(exc)

    async def _show(self, event: VoiceEvent) -> None:
        page, texts, log = self._page, self._page.texts, self._page.query_one(ChatLog)
        match event:
            case StateChanged(state=state):
                self._state = state
                page.show_state(texts(_STATES[state]))
            case FinalTranscript(text=text, speaker=speaker):
                await log.say([Text(text=text or texts("chat.nothing_heard"))], speaker)
            case Interrupted():
                await log.end(texts("voice.interrupted"))
            case EmotionHeard(emotion=emotion):
                await log.remark(texts("voice.emotion", emotion=printable(emotion)))
            case VolumeChanged(percent=percent):
                await log.remark(texts("voice.volume", percent=percent))
            case TurnFailed(message=message):
                await log.remark(printable(message))
                await log.end(texts("chat.failed"))
            case Started(conversation_id=conversation_id):
                page.conversation_id = conversation_id
                await log.take(event)
            case _:
                if isinstance(event, TurnEvent):
                    await log.take(event)
