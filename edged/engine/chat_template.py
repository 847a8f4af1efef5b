"""Writes messages the way the model was trained to read them: its Jinja template, as transformers renders it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2

from edged.engine.template_sandbox import TemplateSandbox
from edged.errors import ArtefactError, InvalidInput

Content = str | Sequence[Mapping[str, str]]
"""Of a message: its text, or its parts, {"type": "text", "text": ...}, {"type": "image"} and {"type": "audio"}."""
TemplateMessage = Mapping[str, Any]
"""With "role" and "content", a `Content`; an assistant's may have "tool_calls", a tool's has "tool_call_id"."""
MAX_TEMPLATE_CHARACTERS = 1024 * 1024
_WORK = 20_000_000
_WORK_PER_CHARACTER = 1000


class ChatTemplate:
    """A compiled template, which any thread may render."""

    def __init__(self, source: str, *, name: str, bos_text: str = "", eos_text: str = "") -> None:
        """Compile. `name` is the file for messages. Raises ArtefactError."""
        self._name = name
        self._texts = {"bos_token": bos_text, "eos_token": eos_text}
        self._sandbox = TemplateSandbox(
            filters={"tojson": _to_json},
            template_globals={"raise_exception": _refuse, "strftime_now": _strftime_now},
        )
        if len(source) > MAX_TEMPLATE_CHARACTERS:
            raise ArtefactError(f"{name}: longer than {MAX_TEMPLATE_CHARACTERS} characters")
        try:
            self._template = self._sandbox.compile_metered(source)
        except (jinja2.TemplateError, RecursionError, SyntaxError) as exc:
            raise ArtefactError(f"{name}: not a chat template: {str(exc)[:200]}") from exc

    def render(
        self,
        messages: Sequence[TemplateMessage],
        *,
        enable_thinking: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """The prompt up to where the answer begins. tools: as transformers passes them, {"type": "function", ...}.

        Where a template has no place for a system message (Gemma's first ones), the first user's begins with it.
        Raises InvalidInput when the template refuses the messages, ArtefactError when it fails or
        does more work than any real template.
        """
        try:
            return self._render(messages, enable_thinking, tools)
        except InvalidInput:
            if [message["role"] for message in messages[:2]] != ["system", "user"]:
                raise
        return self._render(_merged(messages), enable_thinking, tools)

    def _render(
        self, messages: Sequence[TemplateMessage], enable_thinking: bool, tools: Sequence[Mapping[str, Any]] | None
    ) -> str:
        characters = len(json.dumps(tools)) + sum(_characters(one) for one in messages)
        self._sandbox.work_left = _WORK + _WORK_PER_CHARACTER * characters
        try:
            return self._template.render(
                messages=messages,
                tools=tools,
                documents=None,
                add_generation_prompt=True,
                enable_thinking=enable_thinking,
                **self._texts,
            )
        except _Refused as exc:
            raise InvalidInput(f"the model's chat template refuses these messages: {str(exc)[:200]}") from exc
        except Exception as exc:  # the template is a foreign program: it can fail in any way
            raise ArtefactError(f"{self._name}: the chat template failed: {str(exc)[:200]}") from exc


def _merged(messages: Sequence[TemplateMessage]) -> list[TemplateMessage]:
    """The system message as the beginning of the user's that follows it."""
    system, user, *others = messages
    first, second = system["content"], user["content"]
    if isinstance(first, str) and isinstance(second, str):
        content: Content = f"{first}\n\n{second}"
    else:
        content = [*_parts(first), *_parts(second)]
    return [{**user, "content": content}, *others]


def _parts(content: Content) -> Sequence[Mapping[str, str]]:
    return [{"type": "text", "text": f"{content}\n\n"}] if isinstance(content, str) else content


def _characters(message: TemplateMessage) -> int:
    content, calls = message["content"], message.get("tool_calls")
    said = len(content) if isinstance(content, str) else sum(len(part.get("text", "")) for part in content)
    return said + (len(json.dumps(calls)) if calls else 0)


class _Refused(jinja2.TemplateError):
    """raise_exception(...) in a template."""


def _refuse(message: str) -> NoReturn:
    raise _Refused(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False, sort_keys: bool = False) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, sort_keys=sort_keys)
