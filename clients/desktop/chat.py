"""What was said: the messages of a conversation, the last one perhaps on its way."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Button, Markdown, Static
from textual.widgets.markdown import MarkdownStream

from clients.desktop.strings import Texts
from edged.cli.output import human_bytes, printable
from edged.events import (
    Audio,
    ContextTrimmed,
    Finished,
    FinishReason,
    Measured,
    Message,
    MessageState,
    Part,
    ReasoningDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    Transcribed,
    TurnEvent,
)
from edged.records import Transcript

SHOWN_MESSAGES = 40
"""Of a long conversation, until the others are asked for: each costs the terminal some milliseconds."""
SHOWN_THINKING = 2000
"""Characters."""


_WHO = {
    Role.USER: "chat.you",
    Role.ASSISTANT: "chat.assistant",
    Role.SYSTEM: "chat.system",
    Role.TOOL: "chat.tool",
}


class MessageView(Vertical):
    """Who said it, what, and how it ended."""

    DEFAULT_CSS = """
    MessageView { height: auto; margin: 0 0 1 0; }
    MessageView > .who { text-style: bold; }
    MessageView > .note { text-style: italic; color: $text-muted; }
    MessageView > Markdown { margin: 0; padding: 0; }
    """

    def __init__(self, who: str, text: str, *, is_markdown: bool, thinking: str = "", note: str = "") -> None:
        """text, thinking: of the model or stored; what commands a terminal is taken out."""
        super().__init__()
        self._who, self._text, self._thinking, self._note = who, printable(text), printable(thinking), note
        self._is_markdown = is_markdown
        self._stream: MarkdownStream | None = None

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        yield Static(f"{self._who}:", classes="who", markup=False)
        thinking = Static(self._thinking, classes="thinking note", markup=False)
        thinking.display = bool(self._thinking)
        yield thinking
        if self._is_markdown:
            yield Markdown(self._text, open_links=False)
        else:
            yield Static(self._text, markup=False)
        note = Static(self._note, classes="end note", markup=False)
        note.display = bool(self._note)
        yield note

    async def write(self, text: str) -> None:
        """The next piece of an answer."""
        if self._stream is None:
            self._stream = Markdown.get_stream(self.query_one(Markdown))
        await self._stream.write(printable(text))

    def think(self, text: str) -> None:
        """All that was thought so far."""
        thinking = self.query_one(".thinking", Static)
        thinking.update(printable(text[-SHOWN_THINKING:]))
        thinking.display = True

    async def end(self, note: str = "") -> None:
        """Nothing more comes; note: how it ended."""
        stream, self._stream = self._stream, None
        if stream:
            await stream.stop()
        if note and self.is_attached:
            end = self.query_one(".end", Static)
            end.update(note)
            end.display = True


class ChatLog(VerticalScroll):
    """The messages, oldest first; stays at the end while an answer grows, unless somebody scrolls up."""

    DEFAULT_CSS = "ChatLog { padding: 0 1; } ChatLog Button { margin: 0 0 1 0; }"

    def __init__(self, texts: Texts) -> None:
        super().__init__()
        self._texts = texts
        self._answer: MessageView | None = None
        self._thinking = ""
        self._measured: Measured | None = None
        self._earlier: Sequence[Message] = ()

    async def fill(self, transcript: Transcript | None) -> None:
        """A conversation; None for one that is still to begin."""
        await self.remove_children()
        self._answer = None
        messages = transcript.messages if transcript else ()
        self._earlier, latest = messages[:-SHOWN_MESSAGES], messages[-SHOWN_MESSAGES:]
        if not messages:
            await self.mount(Static(self._texts("chat.new"), classes="begin", markup=False))
        if self._earlier:
            await self.mount(Button(self._texts("chat.earlier", count=len(self._earlier)), compact=True))
        await self.mount_all(map(self._view, latest))
        self.anchor()

    async def on_button_pressed(self, event: Button.Pressed) -> None:
        """The earlier messages."""
        event.stop()
        await self.mount_all(map(self._view, self._earlier), before=event.button)
        await event.button.remove()

    async def say(self, parts: Sequence[Part], speaker: str = "") -> None:
        """What the user says now; speaker: who that is, where it is known."""
        await self.query(".begin").remove()
        shown = "\n".join(self._shown(part) for part in parts)
        await self.mount(MessageView(printable(speaker) or self._texts("chat.you"), shown, is_markdown=False))
        self.anchor()

    async def take(self, event: TurnEvent) -> None:
        """What happens in the turn that goes on."""
        match event:
            case Started():
                await self._begin()
            case Transcribed(text=text):
                await self.remark(self._texts("chat.heard", text=printable(text)))
            case ContextTrimmed(dropped_messages=count):
                await self.remark(self._texts("chat.trimmed", count=count))
            case ReasoningDelta(text=text):
                self._thinking += text
                (await self._begun()).think(self._texts("chat.thinking", text=self._thinking))
            case TextDelta(text=text):
                await (await self._begun()).write(text)
            case Measured():
                self._measured = event
            case Finished(finish_reason=reason):
                await self.end(self._ending(reason))

    async def remark(self, text: str) -> None:
        """A line that nobody said."""
        await self.mount(Static(text, markup=False), before=self._answer)

    async def end(self, note: str) -> None:
        """The answer that goes on is over."""
        answer, self._answer = self._answer, None
        if answer:
            await answer.end(note)

    async def _begin(self) -> MessageView:
        self._answer = MessageView(self._texts("chat.assistant"), "", is_markdown=True)
        self._thinking, self._measured = "", None
        await self.mount(self._answer)
        return self._answer

    async def _begun(self) -> MessageView:
        return self._answer or await self._begin()

    def _ending(self, reason: FinishReason) -> str:
        measured = self._measured
        notes = [self._texts("chat.cut_off")] if reason is FinishReason.LENGTH else []
        if measured:
            tokens, speed = measured.usage.completion_tokens, measured.metrics.generation_tps
            notes.append(self._texts("chat.measured", tokens=tokens, speed=speed))
        return "; ".join(notes)

    def _view(self, message: Message) -> MessageView:
        who = _WHO[message.role]
        thinking = self._texts("chat.thinking", text=message.reasoning[-SHOWN_THINKING:]) if message.reasoning else ""
        return MessageView(
            self._texts(who),
            "\n".join(map(self._shown, message.parts)),
            is_markdown=message.role is Role.ASSISTANT,
            thinking=thinking,
            note=self._stored_ending(message),
        )

    def _stored_ending(self, message: Message) -> str:
        match message.state:
            case MessageState.CANCELLED:
                return self._texts("chat.stopped")
            case MessageState.FAILED | MessageState.INTERRUPTED:
                return self._texts("chat.failed")
        return self._texts("chat.cut_off") if message.finish_reason is FinishReason.LENGTH else ""

    def _shown(self, part: Part) -> str:
        match part:
            case Text(text=text) | ToolResult(content=text):
                return text
            case ToolCall(name=name, arguments=arguments):
                return self._texts("chat.called", name=name, arguments=arguments)
        label = self._texts("chat.attachment", media_type=part.media_type, size=human_bytes(len(part.data)))
        return f"{label} {part.transcript}" if isinstance(part, Audio) and part.transcript else label
