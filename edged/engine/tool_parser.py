"""Tells calls of tools from words in what a model writes, as it writes.

A state machine without a clock or a model: text goes in, in pieces of any size, words and calls come out.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection

from edged.engine.stop_strings import StopStrings
from edged.engine.tool_form import ToolForm, lenient
from edged.events import TextDelta, ToolCallDelta, ToolCallStarted

MAX_CALLS = 32
"""Of one answer; what would be one more ends it."""
MAX_HELD_CHARACTERS = 300
"""Where a name and the beginning of arguments, or the end of a call, take more than that, it is no call."""
ToolDelta = TextDelta | ToolCallStarted | ToolCallDelta


class _State(enum.Enum):
    TEXT = enum.auto()
    WORDS = enum.auto()
    """Text among which no call can begin any more."""
    HEAD = enum.auto()
    """After the mark, up to the arguments."""
    ARGUMENTS = enum.auto()
    TAIL = enum.auto()
    AFTER = enum.auto()
    """Another call may follow, and nothing else."""
    OVER = enum.auto()


class ToolCallParser:
    """Of one answer. What begins like a call but names no known tool is given back as text.

    Arguments are passed on as they are written: whoever feeds this holds them to the tool's schema.
    """

    def __init__(self, form: ToolForm, names: Collection[str], new_id: Callable[[], str], *, parallel: bool) -> None:
        """names: of the tools that may be called. new_id: called for each call. parallel: several may follow."""
        self._form = form
        self._names = frozenset(names)
        self._new_id = new_id
        self._most = MAX_CALLS if parallel and form.again else 1
        self._head, self._head_again = (_head(lead, form.between) for lead in (form.lead, form.lead_again))
        self._tail = re.compile(r"\s*" + lenient(form.tail))
        self._state = _State.TEXT
        self._search = StopStrings((form.open,))
        self._held = ""
        self._is_blank = True
        """No words were shown yet."""
        self._object = _ObjectEnd()
        self.completed = 0
        """Calls that were written to their end."""

    @property
    def awaits_name(self) -> bool:
        """A call has begun, and nothing of it was shown."""
        return self._state is _State.HEAD

    @property
    def in_call(self) -> bool:
        """A call has begun and not ended."""
        return self._state in (_State.HEAD, _State.ARGUMENTS, _State.TAIL)

    @property
    def is_over(self) -> bool:
        """Nothing can follow."""
        return self._state is _State.OVER

    @property
    def held(self) -> str:
        """What is not decided yet; of a call that awaits its name, all that was written of it since its mark."""
        return self._held

    def push(self, text: str) -> list[ToolDelta]:
        """What is certain by now."""
        shown: list[ToolDelta] = []
        while text:
            match self._state:
                case _State.TEXT if self._form.is_anywhere:
                    text = self._take_text(text, shown)
                case _State.TEXT:
                    text = self._take_beginning(text)
                case _State.WORDS:
                    text = self._say(text, shown)
                case _State.HEAD:
                    text = self._take_head(text, shown)
                case _State.ARGUMENTS:
                    text = self._take_arguments(text, shown)
                case _State.TAIL:
                    text = self._take_tail(text)
                case _State.AFTER:
                    text = self._take_after(text)
                case _State.OVER:
                    break
        return shown

    def refuse(self) -> list[ToolDelta]:
        """The call that awaits its name is none: its text, or nothing where there were calls before it."""
        if self.completed:
            self._state = _State.OVER
            return []
        shown: list[ToolDelta] = []
        text = self._back_to_text()
        self._say(self._form.open, shown)
        return [*shown, *self.push(text)]

    def flush(self) -> list[ToolDelta]:
        """What was held back, once nothing follows."""
        shown: list[ToolDelta] = []
        while self.awaits_name:
            shown += self.refuse()
        if self._state is _State.TEXT:
            self._say(self._search.flush() + self._held, shown)
        return shown

    def _say(self, text: str, shown: list[ToolDelta]) -> str:
        """Blanks before the first word would only part a call from nothing."""
        if self._is_blank:
            text = text.lstrip()
        if text:
            self._is_blank = False
            shown.append(TextDelta(text=text))
        return ""

    def _take_text(self, text: str, shown: list[ToolDelta]) -> str:
        self._say(self._search.push(text), shown)
        if not self._search.met:
            return ""
        self._state = _State.HEAD
        return self._search.rest

    def _take_beginning(self, text: str) -> str:
        """Where a call is all of an answer."""
        text, self._held = (self._held + text).lstrip(), ""
        if text.startswith(self._form.open):
            self._state = _State.HEAD
            return text.removeprefix(self._form.open)
        if self._form.open.startswith(text):
            self._held = text
            return ""
        self._state = _State.WORDS
        return text

    def _take_head(self, text: str, shown: list[ToolDelta]) -> str:
        self._held += text
        pattern = self._head_again if self.completed else self._head
        found = pattern.match(self._held, 0, MAX_HELD_CHARACTERS)
        if found and found["name"] in self._names:
            rest, self._held = self._held[found.end() :], ""
            shown.append(ToolCallStarted(index=self.completed, id=self._new_id(), name=found["name"]))
            self._state, self._object = _State.ARGUMENTS, _ObjectEnd()
            return "{" + rest
        if found or len(self._held) >= MAX_HELD_CHARACTERS:
            shown += self.refuse()
        return ""

    def _take_arguments(self, text: str, shown: list[ToolDelta]) -> str:
        end = self._object.push(text)
        shown.append(ToolCallDelta(index=self.completed, text=text[:end]))
        if end is None:
            return ""
        self._state = _State.TAIL
        return text[end:]

    def _take_tail(self, text: str) -> str:
        self._held += text
        found = self._tail.match(self._held, 0, MAX_HELD_CHARACTERS)
        if found is None:
            if len(self._held) >= MAX_HELD_CHARACTERS:
                self._state = _State.OVER
            return ""
        rest, self._held = self._held[found.end() :], ""
        self.completed += 1
        self._state = _State.AFTER if self.completed < self._most else _State.OVER
        return rest

    def _take_after(self, text: str) -> str:
        text, self._held = (self._held + text).lstrip(), ""
        if text.startswith(self._form.again):
            self._state = _State.HEAD
            return text.removeprefix(self._form.again)
        if self._form.again.startswith(text):
            self._held = text
        else:
            self._state = _State.OVER
        return ""

    def _back_to_text(self) -> str:
        """What was held of the call."""
        text, self._held = self._held, ""
        self._state = _State.TEXT if self._form.is_anywhere else _State.WORDS
        self._search = StopStrings((self._form.open,))
        return text


class _ObjectEnd:
    """Finds where a JSON object ends."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def push(self, text: str) -> int | None:
        """The index after its last character; None where that is still to come."""
        for index, character in enumerate(text):
            if self._is_escaped:
                self._is_escaped = False
            elif self._in_string:
                self._is_escaped = character == "\\"
                self._in_string = character != '"'
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 0:
                    return index + 1
        return None


def _head(lead: str, between: str) -> re.Pattern[str]:
    """From the mark to the brace that opens the arguments."""
    return re.compile(r"\s*" + lenient(lead.lstrip()) + r'(?P<name>[^"\\]*)' + lenient(between) + r"\s*\{")
