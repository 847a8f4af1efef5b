"""How a family of models writes calls of tools, and which of the families a chat template is of."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from edged.engine.chat_template import ChatTemplate
from edged.errors import ArtefactError, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolForm:
    """The literal text around names and arguments: open, lead NAME between ARGUMENTS tail, again, NAME ...

    A line break in one of them stands for any blanks.
    """

    open: str
    """With it calls begin."""
    lead: str
    between: str
    tail: str
    again: str
    """It goes on with another call; empty where an answer has only one."""
    lead_again: str
    is_anywhere: bool = True
    """Words may come before; otherwise an answer is a call or none."""
    is_native: bool = True
    """The chat template itself tells of tools and writes calls like this."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Texts that mean calls and results to the model, whoever writes them."""
        return tuple(mark for mark in (self.open, *_RESPONSE, *self.tail.split()) if len(mark) > 1 and '"' not in mark)


_RESPONSE = ("<tool_response>", "</tool_response>")
HERMES = ToolForm(
    open="<tool_call>",
    lead='\n{"name": "',
    between='", "arguments": ',
    tail="}\n</tool_call>",
    again="<tool_call>",
    lead_again='\n{"name": "',
)
"""Of Hermes, Qwen and many others."""
LLAMA = ToolForm(
    open='{"name": "',
    lead="",
    between='", "parameters": ',
    tail="}",
    again="",
    lead_again="",
    is_anywhere=False,
)
"""Of Llama 3."""
MISTRAL = ToolForm(
    open="[TOOL_CALLS]",
    lead='\n[{"name": "',
    between='", "arguments": ',
    tail="}",
    again=",",
    lead_again='\n{"name": "',
)
GENERIC = ToolForm(
    open=HERMES.open,
    lead=HERMES.lead,
    between=HERMES.between,
    tail=HERMES.tail,
    again=HERMES.again,
    lead_again=HERMES.lead_again,
    is_native=False,
)
"""Explained to models whose template knows nothing of tools."""

_NAME = "probe_of_tools"
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "A probe.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}
_ASKED = {"role": "user", "content": "Where?"}
_CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"id": "000000001", "type": "function", "function": {"name": _NAME, "arguments": {"place": "here"}}},
    ],
}
_RETURNED = {"role": "tool", "tool_call_id": "000000001", "name": _NAME, "content": "There."}


def tool_form(template: ChatTemplate) -> ToolForm:
    """The form in which this template writes a call, `GENERIC` where it knows of no tools or has a form of its own."""
    try:
        told = template.render([_ASKED], tools=[_TOOL])
        whole = template.render([_ASKED, _CALLED, _RETURNED], tools=[_TOOL])
    except (ArtefactError, InvalidInput):
        return GENERIC
    if _NAME not in told or "There." not in whole:
        return GENERIC
    return next((form for form in (HERMES, MISTRAL, LLAMA) if re.search(_written(form), whole)), GENERIC)


def _written(form: ToolForm) -> str:
    """A pattern of the probe's call, as far as its arguments."""
    arguments = json.dumps({"place": "here"})
    return lenient(form.open + form.lead) + _NAME + lenient(form.between + arguments)


def lenient(literal: str) -> str:
    """A regular expression for a literal in which blanks do not matter."""
    return r"\s*".join(re.escape(word) for word in re.split(r"\s", literal))
