"""Calls in an answer that may call nothing: a model that has called before goes on to, and nobody is to read that."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edged.engine.stop_strings import StopStrings
from edged.engine.tool_calls import Delta
from edged.engine.tool_form import ToolForm
from edged.engine.tool_parser import ToolCallParser, ToolDelta
from edged.events import GenerationRequest, ReasoningDelta, TextDelta, ToolCall


class SilentCalls:
    """Of one answer, in the place of `ToolCalls`: what is written as a call is not shown, and is none."""

    constraint = None
    opening = ""
    has_calls = False
    is_over = False

    def __init__(self, form: ToolForm, names: Collection[str]) -> None:
        """names: of tools; where calls have no mark, only what names one of these is taken for a call."""
        unmarked = ToolCallParser(form, names, str, parallel=False)
        self._parser = _MarkedCalls(form) if form.is_anywhere else unmarked

    @property
    def in_call(self) -> bool:
        """What is written now is no word of the answer."""
        return self._parser.in_call

    def push(self, token: int, deltas: Sequence[ReasoningDelta | TextDelta]) -> list[Delta]:
        """Take what a token showed."""
        shown: list[Delta] = []
        for delta in deltas:
            shown += _words(self._parser.push(delta.text)) if isinstance(delta, TextDelta) else [delta]
        return shown

    def flush(self, deltas: Sequence[ReasoningDelta | TextDelta]) -> list[Delta]:
        """What was held back, once nothing follows these."""
        return [*self.push(0, deltas), *_words(self._parser.flush())]


class _MarkedCalls:
    """What stands from a mark to the one that closes it, whatever it is; to the end where none does."""

    def __init__(self, form: ToolForm) -> None:
        self._open = (form.open,)
        self._close = tuple(mark for mark in form.tail.split()[-1:] if mark in form.marks)
        self._search = StopStrings(self._open)
        self.in_call = False

    def push(self, text: str) -> list[ToolDelta]:
        shown: list[ToolDelta] = []
        while True:
            words = self._search.push(text)
            if words and not self.in_call:
                shown.append(TextDelta(text=words))
            if not self._search.met:
                return shown
            text, self.in_call = self._search.rest, not self.in_call
            self._search = StopStrings(self._close if self.in_call else self._open)

    def flush(self) -> list[ToolDelta]:
        held = self._search.flush()
        return [TextDelta(text=held)] if held and not self.in_call else []


def known_names(request: GenerationRequest) -> set[str]:
    """Of the tools that a request has, and of those that its messages call."""
    called = {part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)}
    return called | {tool.name for tool in request.tool_use.tools} if request.tool_use else called


def _words(deltas: Sequence[ToolDelta]) -> list[TextDelta]:
    return [delta for delta in deltas if isinstance(delta, TextDelta)]
