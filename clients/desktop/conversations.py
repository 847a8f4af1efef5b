"""The list of conversations, or of what a search found."""

from __future__ import annotations

import re
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from clients.desktop.strings import Texts
from edged.cli.output import local_time, printable
from edged.client import Client
from edged.records import Conversation

PAGE_SIZE = 50


class ConversationList(Vertical):
    """Last used first; a search shows the newest matches instead."""

    DEFAULT_CSS = """
    ConversationList { width: 28; border-right: solid $primary; }
    ConversationList Input, ConversationList Input:focus { border: none; height: 1; margin: 0 0 1 0; }
    ConversationList OptionList, ConversationList OptionList:focus { border: none; height: 1fr; padding: 0; }
    """

    @dataclass
    class Chosen(Message):
        """Somebody wants to go on with it."""

        conversation_id: str

    class Searched(Message):
        """The words changed, or more is wanted."""

    def __init__(self, texts: Texts) -> None:
        super().__init__()
        self._texts = texts
        self._shown: list[Conversation] = []
        self._next_page = ""

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        yield Input(placeholder=self._texts("list.placeholder"))
        yield OptionList(markup=False)

    @property
    def words(self) -> str:
        """What is searched for; empty for nothing."""
        return self.query_one(Input).value.strip()

    @property
    def has_focus_on_list(self) -> bool:
        """A conversation is highlighted for keys to act on."""
        return self.query_one(OptionList).has_focus and self.current is not None

    @property
    def current(self) -> Conversation | None:
        """The highlighted one."""
        number = self.query_one(OptionList).highlighted
        return self._shown[number] if number is not None and number < len(self._shown) else None

    async def refresh_from(self, client: Client) -> None:
        """Ask again, from the first page. Raises what `Client.list_conversations` raises."""
        highlighted = self.query_one(OptionList).highlighted
        self._clear()
        if self.words:
            await self._search(client)
        else:
            await self.more_from(client)
        if not self._shown:
            nothing = "list.nothing" if self.words else "list.empty"
            self._options.add_option(Option(self._texts(nothing), disabled=True))
        elif highlighted is not None:
            self._options.highlighted = min(highlighted, len(self._shown) - 1)

    async def more_from(self, client: Client) -> None:
        """The next page."""
        page = await client.list_conversations(page_size=PAGE_SIZE, page_token=self._next_page)
        if self._next_page:
            self._options.remove_option_at_index(len(self._shown))
        for conversation in page.conversations:
            self._add(conversation, f"{conversation.title}\n  {local_time(conversation.updated_at)}")
        self._next_page = page.next_page_token
        if self._next_page:
            self._options.add_option(Option(self._texts("list.more")))

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        self.post_message(self.Searched())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click."""
        event.stop()
        if event.option_index < len(self._shown):
            self.post_message(self.Chosen(self._shown[event.option_index].id))
        else:
            self.post_message(self.Searched())

    @property
    def wants_more(self) -> bool:
        """The last line, which stands for the next page, is highlighted."""
        return bool(self._next_page) and self._options.highlighted == len(self._shown)

    def focus_list(self) -> None:
        """Where arrows move."""
        self._options.focus()
        if self._options.highlighted is None:
            self._options.action_first()

    def clear_search(self) -> bool:
        """Whether there was one."""
        had_words = bool(self.words)
        self.query_one(Input).value = ""
        return had_words

    @property
    def _options(self) -> OptionList:
        return self.query_one(OptionList)

    def _clear(self) -> None:
        self._options.clear_options()
        self._shown, self._next_page = [], ""

    async def _search(self, client: Client) -> None:
        for hit in (await client.search(self.words)).hits:
            snippet = re.sub("\x02(.*?)\x03", r"*\1*", " ".join(hit.snippet.split()))
            self._add(hit.conversation, f"{hit.conversation.title}\n  {snippet}")

    def _add(self, conversation: Conversation, text: str) -> None:
        self._shown.append(conversation)
        self._options.add_option(Option(printable(text)))
