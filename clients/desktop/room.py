"""Hands-free: what happens in the room of the daemon's own microphone."""

from __future__ import annotations

from contextlib import aclosing

from textual import work
from textual.app import ComposeResult
from textual.widgets import Static

from clients.desktop.chat import ChatLog
from clients.desktop.page import Page
from edged.cli.output import printable
from edged.errors import EdgedError
from edged.events import Text, TurnEvent
from edged.records import MicrophoneState
from edged.voice_events import (
    FinalTranscript,
    Interrupted,
    StateChanged,
    TurnFailed,
    VoiceEvent,
    VoiceState,
    VolumeChanged,
    WakeDetected,
)

_STATES = {
    VoiceState.WAITING: "room.waiting",
    VoiceState.LISTENING: "room.listening",
    VoiceState.THINKING: "room.thinking",
    VoiceState.SPEAKING: "room.speaking",
}


class RoomPage(Page):
    """The daemon's microphone is open as long as this page is, unless it is muted."""

    DEFAULT_CSS = "RoomPage Static { height: auto; padding: 0 1; }"

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        yield Static(self.texts("room.title"), markup=False)
        yield ChatLog(self.texts)
        yield Static(self.texts("room.waiting"), id="state", markup=False)
        yield from self.footer()

    def on_mount(self) -> None:
        """Part of Textual's contract."""
        self._follow()

    @work
    async def action_mute(self) -> None:
        """Close the microphone, whoever wants it, or let it be opened again."""
        try:
            voice = (await self.client.status()).voice
            muted = await self.client.mute(voice is None or voice.microphone is not MicrophoneState.MUTED)
            self.notify(self.texts("room.muted" if muted else "room.unmuted"), markup=False)
        except EdgedError as exc:
            self.desktop.show_error(exc)

    @work
    async def _follow(self) -> None:
        try:
            async with aclosing(self.client.watch_events(listen=True)) as events:
                async for event in events:
                    await self._show(event)
        except EdgedError as exc:
            self.query_one("#state", Static).update(printable(exc.message))
            self.desktop.show_error(exc)

    async def _show(self, event: VoiceEvent) -> None:
        log, state = self.query_one(ChatLog), self.query_one("#state", Static)
        match event:
            case StateChanged(state=now):
                state.update(self.texts(_STATES[now]))
            case WakeDetected(phrase=phrase):
                await log.remark(self.texts("room.woken", phrase=printable(phrase.replace("_", " "))))
            case FinalTranscript(text=text, speaker=speaker):
                await log.say([Text(text=text or self.texts("chat.nothing_heard"))], speaker)
            case Interrupted():
                await log.end(self.texts("voice.interrupted"))
            case VolumeChanged(percent=percent):
                await log.remark(self.texts("voice.volume", percent=percent))
            case TurnFailed(message=message):
                await log.remark(printable(message))
                await log.end(self.texts("chat.failed"))
            case _:
                if isinstance(event, TurnEvent):
                    await log.take(event)
