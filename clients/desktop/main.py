"""The main page: conversations on the left, the one that goes on beside them, and where to write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TypeVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static
from textual.worker import Worker

from clients.desktop.attachments import Attachment, from_clipboard, from_file
from clients.desktop.chat import ChatLog
from clients.desktop.composer import Composer
from clients.desktop.conversations import ConversationList
from clients.desktop.dialogs import ChoiceDialog, ConfirmDialog, LineDialog
from clients.desktop.page import Page
from clients.desktop.room import RoomPage
from clients.desktop.voice import Talking
from edged.cli.output import new_file, printable
from edged.cli.transcript import as_markdown
from edged.errors import EdgedError
from edged.events import Part, Started, Text

Result = TypeVar("Result")


class MainPage(Page):
    """What one does most of the time."""

    DEFAULT_CSS = """
    MainPage #top { height: 1; background: $primary; color: $text; padding: 0 1; text-overflow: ellipsis; }
    MainPage #hint { height: auto; padding: 0 1; }
    MainPage.-narrow ConversationList { display: none; }
    MainPage.-narrow.-listing ConversationList { display: block; width: 1fr; border: none; }
    MainPage.-narrow.-listing #chat { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.conversation_id = ""
        """Empty while a new one is still to begin."""
        self.model = ""
        """Empty for the default one."""
        self._attached: list[Attachment] = []
        self._model_shown = ""
        self._state = ""
        self._talking: Talking | None = None

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        yield Static(id="top", markup=False)
        with Horizontal():
            yield ConversationList(self.texts)
            with Vertical(id="chat"):
                yield ChatLog(self.texts)
                yield Static(id="hint", markup=False)
                yield Composer(placeholder=self.texts("chat.placeholder"), compact=True)
        yield from self.footer()

    async def on_mount(self) -> None:
        """Part of Textual's contract."""
        self._show_hint()
        self.query_one(Composer).focus()
        await self.desktop.connect()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that change a conversation are offered where one is highlighted."""
        if action in ("rename", "export", "delete"):
            return self._list.has_focus_on_list
        return super().check_action(action, parameters)

    def show_state(self, state: str) -> None:
        """In the line at the top, beside who is talked to."""
        self._state = state
        shown = ("edged", self.desktop.daemon_name, self._state, self._model_shown)
        for top in self.query("#top").results(Static):  # none while the app comes up and goes down
            top.update(" | ".join(filter(None, shown)))

    @work
    async def begin(self) -> None:
        """The daemon is reached."""
        self._talking = None
        await self._try(self._introduce)
        await self._try(lambda: self._list.refresh_from(self.client))
        if not self._is_answering:  # who asked meanwhile sees that, not what was there before
            await self._open(self.conversation_id)
            self.show_state(self.texts("top.waiting"))

    async def on_unmount(self) -> None:
        """Part of Textual's contract."""
        if self._talking:
            await self._talking.close()

    # What is written.

    def on_composer_sent(self) -> None:
        """Enter."""
        composer = self.query_one(Composer)
        if not composer.text.strip() and not self._attached:
            return
        if self._is_answering or not self.desktop.link.is_reached:
            self.notify(self.texts("chat.busy" if self._is_answering else "top.connecting"), markup=False)
            return
        text = [Text(text=composer.text)] if composer.text.strip() else []
        parts = [*(attachment.part for attachment in self._attached), *text]
        composer.clear()
        self._attached.clear()
        self._show_hint()
        self._ask(parts)

    def on_composer_page_turned(self, event: Composer.PageTurned) -> None:
        """Through what was said."""
        log = self.query_one(ChatLog)
        turn = log.scroll_page_up if event.is_up else log.scroll_page_down
        turn(animate=False)

    @property
    def _is_answering(self) -> bool:
        return any(worker.group == "answer" and not worker.is_finished for worker in self.workers)

    @work(group="answer")
    async def _ask(self, parts: list[Part]) -> None:
        log = self.query_one(ChatLog)
        self.show_state(self.texts("top.answering"))
        note = self.texts("chat.stopped")
        try:
            await log.say(parts)
            turn = self.client.ask(parts, conversation_id=self.conversation_id, model=self.model)
            async with aclosing(turn) as events:
                async for event in events:
                    await log.take(event)
                    if isinstance(event, Started):
                        self.conversation_id = event.conversation_id
            note = ""
        except EdgedError as exc:
            note = printable(exc.message)
            await log.remark(note)
            self.desktop.show_error(exc)
        finally:
            await log.end(note)
            self.show_state(self.texts("top.waiting"))

    async def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """An answer that is over, stopped or not, is in the list of conversations."""
        if event.worker.group == "answer" and event.worker.is_finished:
            await self._try(lambda: self._list.refresh_from(self.client))

    # What goes with it.

    @work
    async def action_attach(self) -> None:
        """A picture or a recording, by its path."""
        name = await self.app.push_screen_wait(LineDialog(self.texts, self.texts("attach.title")))
        if name:
            await self._add_file(_path(name))

    async def on_composer_file_pasted(self, event: Composer.FilePasted) -> None:
        """A path, which may be of something else: then it is text."""
        if not await self._add_file(event.path):
            self.query_one(Composer).insert(str(event.path))

    async def on_composer_clipboard_wanted(self) -> None:
        """The picture in the clipboard, or else the text that was copied here."""
        name, max_bytes = self.texts("attach.clipboard"), self.desktop.config.daemon.max_message_bytes
        found = await self._try(lambda: from_clipboard(name, max_bytes=max_bytes))
        if found:
            self._attached.append(found)
            self._show_hint()
        else:
            self.query_one(Composer).paste_text()

    async def _add_file(self, path: Path) -> bool:
        found = await self._try(lambda: from_file(path, max_bytes=self.desktop.config.daemon.max_message_bytes))
        if found:
            self._attached.append(found)
            self._show_hint()
        return found is not None

    def _show_hint(self) -> None:
        names = ", ".join(printable(attachment.name) for attachment in self._attached)
        shown = self.texts("attach.waiting", names=names) if names else ""
        if self._talking and self._talking.is_recording:
            shown = self.texts("voice.hint")
        for hint in self.query("#hint").results(Static):
            hint.update(shown)
            hint.display = bool(shown)

    # Conversations.

    @property
    def _list(self) -> ConversationList:
        return self.query_one(ConversationList)

    async def on_conversation_list_chosen(self, event: ConversationList.Chosen) -> None:
        """Go on with it."""
        await self._leave_conversation()
        await self._open(event.conversation_id)
        self._show_list(False)

    async def on_conversation_list_searched(self) -> None:
        """Show what matches, or the next page."""
        wanted = self._list.more_from if self._list.wants_more else self._list.refresh_from
        await self._try(lambda: wanted(self.client))
        self._list.focus_list()

    async def action_new(self) -> None:
        """Begin a conversation."""
        await self._leave_conversation()
        await self._open("")
        self._show_list(False)

    def action_list(self) -> None:
        """To the conversations, or back."""
        self._show_list(not self._list.has_focus_on_list)

    @work
    async def action_rename(self) -> None:
        """Give the highlighted one another title."""
        if chosen := self._list.current:
            typed = await self.app.push_screen_wait(LineDialog(self.texts, self.texts("list.rename"), chosen.title))
            if typed:
                title: str = typed
                await self._try(lambda: self.client.rename(chosen.id, title))
                await self._try(lambda: self._list.refresh_from(self.client))

    @work
    async def action_export(self) -> None:
        """Write the highlighted one to a file as Markdown."""
        if chosen := self._list.current:
            suggested = f"~/{chosen.id}.md"
            name = await self.app.push_screen_wait(LineDialog(self.texts, self.texts("list.export"), suggested))
            is_written = await self._try(partial(self._write, chosen.id, _path(name))) if name else False
            if is_written:
                self.notify(self.texts("list.exported", file=name), markup=False)

    async def _write(self, conversation_id: str, path: Path) -> bool:
        document = as_markdown(await self.client.get_conversation(conversation_id))

        def write() -> None:
            with new_file(path) as stream:
                stream.write(document)

        await asyncio.to_thread(write)
        return True

    @work
    async def action_delete(self) -> None:
        """Leave nothing of the highlighted one."""
        if chosen := self._list.current:
            question = self.texts("list.delete", title=printable(chosen.title))
            if not await self.app.push_screen_wait(ConfirmDialog(self.texts, question)):
                return
            if await self._try(lambda: _done(self.client.delete(chosen.id))):
                self.notify(self.texts("list.deleted"), markup=False)
                if chosen.id == self.conversation_id:
                    await self._open("")
                await self._try(lambda: self._list.refresh_from(self.client))

    async def _open(self, conversation_id: str) -> None:
        transcript = await self._try(lambda: self.client.get_conversation(conversation_id)) if conversation_id else None
        self.conversation_id = conversation_id if transcript else ""
        await self.query_one(ChatLog).fill(transcript)

    async def _leave_conversation(self) -> None:
        self.workers.cancel_group(self, "answer")
        if self._talking:
            await self._talking.close()
            self._talking = None

    def _show_list(self, is_shown: bool) -> None:
        self.set_class(is_shown, "-listing")
        if is_shown:
            self._list.focus_list()
        else:
            self.query_one(Composer).focus()

    # Voice, models, and the way back.

    async def action_talk(self) -> None:
        """Begin to record, or ask what was recorded."""
        await self._try(lambda: self._toggle())
        self._show_hint()

    async def _toggle(self) -> None:
        if self._talking is None or self._talking.is_over:
            self._talking = Talking(self)
        await self._talking.toggle()
        if self._talking.is_recording:
            self.show_state(self.texts("top.recording"))

    def action_room(self) -> None:
        """Hands-free, by the daemon's own microphone."""
        self.app.push_screen(RoomPage())

    @work
    async def action_model(self) -> None:
        """Choose which model answers."""
        models = await self._try(lambda: self.client.list_models())
        if not models:
            return
        shown = [self.texts("model.default", name=each.name) if each.is_default else each.name for each in models]
        chosen = next((number for number, each in enumerate(models) if each.name == self.model), 0)
        title = self.texts("model.title")
        number = await self.app.push_screen_wait(ChoiceDialog(self.texts, title, shown, chosen))
        if number is not None:
            self.model = models[number].name
            await self._leave_conversation()
            await self._try(self._introduce)

    async def action_back(self) -> None:
        """Stop what is going on, or take back what was begun: one thing at a time."""
        if self._talking and await self._talking.stop():
            self.show_state(self.texts("top.waiting"))
        elif self._is_answering:
            self.workers.cancel_group(self, "answer")
        elif isinstance(self.focused, Input | Button) or self.has_class("-listing"):
            if self._list.clear_search():
                await self._try(lambda: self._list.refresh_from(self.client))
            self._show_list(False)
        else:
            self._attached.clear()
            self.query_one(Composer).focus()
        self._show_hint()

    async def _introduce(self) -> None:
        model = await self.client.get_model(self.model)
        name = printable(model.name)
        self._model_shown = self.texts("top.demo", model=name) if model.is_demo else name
        self.show_state(self._state)

    async def _try(self, doing: Callable[[], Awaitable[Result]]) -> Result | None:
        """What it returns; None where it failed, which is shown."""
        try:
            return await doing()
        except EdgedError as exc:
            self.desktop.show_error(exc)
            return None


def _path(typed: str) -> Path:
    try:
        return Path(typed).expanduser()
    except RuntimeError:  # nobody is called so
        return Path(typed)


async def _done(doing: Awaitable[None]) -> bool:
    await doing
    return True
