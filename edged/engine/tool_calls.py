"""Calls of tools in an answer: told from words, and held to the tools' schemas from the mark that opens them."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Sequence

from edged.engine.grammar import Constraint
from edged.engine.tool_form import ToolForm
from edged.engine.tool_grammar import CallForm
from edged.engine.tool_parser import ToolCallParser, ToolDelta
from edged.events import ReasoningDelta, TextDelta, ToolChoice, ToolUse

_ID_CHARACTERS = string.ascii_letters + string.digits
Delta = ReasoningDelta | ToolDelta


class ToolCalls:
    """Of one answer."""

    def __init__(self, use: ToolUse, form: ToolForm, begin: Callable[[CallForm], Constraint]) -> None:
        """begin: what holds one call to its form."""
        self._use = use
        self._form = form
        self._begin = begin
        is_named = use.choice is ToolChoice.NAMED
        names = [use.name] if is_named else [tool.name for tool in use.tools]
        self._parser = ToolCallParser(form, names, new_call_id, parallel=use.parallel and not is_named)
        self.constraint: Constraint | None = None
        """In force within a call."""

    @property
    def opening(self) -> str:
        """The mark that an answer begins with which has to be a call; otherwise empty."""
        return self._form.open if self._use.choice in (ToolChoice.REQUIRED, ToolChoice.NAMED) else ""

    @property
    def in_call(self) -> bool:
        """What is written now is no word of the answer."""
        return self._parser.in_call

    @property
    def has_calls(self) -> bool:
        """At least one was written to its end."""
        return self._parser.completed > 0

    @property
    def is_over(self) -> bool:
        """Nothing can follow."""
        return self._parser.is_over

    def push(self, token: int, deltas: Sequence[ReasoningDelta | TextDelta]) -> list[Delta]:
        """Take a token and what it showed. Raises InvalidInput where holding on to the form takes too much work."""
        if self.constraint:
            self.constraint.push(token)
        shown: list[Delta] = []
        for delta in deltas:
            shown += self._parsed(delta.text) if isinstance(delta, TextDelta) else [delta]
        return shown

    def flush(self, deltas: Sequence[ReasoningDelta | TextDelta]) -> list[Delta]:
        """What was held back, once nothing follows these."""
        shown: list[Delta] = []
        for delta in deltas:
            shown += self._parser.push(delta.text) if isinstance(delta, TextDelta) else [delta]
        return [*shown, *self._parser.flush()]

    def _parsed(self, text: str) -> list[ToolDelta]:
        was_in_call = self._parser.in_call
        shown = self._parser.push(text)
        while self._parser.awaits_name and not was_in_call:
            lead = self._form.lead_again if self._parser.completed else self._form.lead
            self.constraint = self._begin(CallForm(use=self._use, form=self._form, lead=lead))
            if self.constraint.push_text(self._parser.held):
                break
            shown += self._parser.refuse()  # the token of the mark went on with something else
        if not self._parser.in_call:
            self.constraint = None
        return shown


def new_call_id() -> str:
    """Nine letters and digits, as the strictest of templates has them."""
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(9))
