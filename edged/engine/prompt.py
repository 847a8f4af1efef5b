"""Messages to the tokens of a prompt that fits the context.

What people write must stay what they wrote: a message that contains `<|im_end|>` is read by the model as
those ten characters and cannot end its own turn. So every place where a control token could be recognised
inside a message, or across its edge, is marked by a character that occurs nowhere else; the rendered prompt
is cut at the marks and its pieces are encoded apart. Messages without such places encode as usual.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edged.engine.chat_template import ChatTemplate
from edged.engine.tokenizer import Tokenizer
from edged.errors import ContextOverflow, InvalidInput
from edged.events import Message, Role

_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Unicode noncharacters, reserved for use inside a program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the model reads before it answers."""

    tokens: list[int]
    is_thinking: bool
    """The prompt ends by opening the model's thinking."""
    dropped_messages: int = 0


class ControlTokens:
    """The texts that would be read as control tokens."""

    def __init__(self, texts: Collection[str]) -> None:
        self._texts = sorted(text for text in texts if len(text) > 1)
        alternatives = "|".join(map(re.escape, self._texts))
        self._start = re.compile(f"(?=(?:{alternatives}))(.)", re.DOTALL) if self._texts else None
        self._heads = tuple({text[:end] for text in self._texts for end in range(1, len(text))})
        self._tails = tuple({text[start:] for text in self._texts for start in range(1, len(text))})

    def disarm(self, text: str, mark: str) -> str:
        """The text with a mark wherever a control token would have to begin, span an edge, or end."""
        if self._start is None or not text:
            return text
        text = self._start.sub(rf"\1{mark}", text)
        core = text.strip()  # templates trim messages
        is_inside = any(core in control for control in self._texts)
        left = mark if is_inside or core.startswith(self._tails) else ""
        right = mark if is_inside or core.endswith(self._heads) else ""
        if not left and not right:
            return text
        return text.replace(core, f"{left}{core}{right}", 1) if core else text + mark


class PromptWriter:
    """Writes prompts for one model."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, *, context: int, think_mark: str | None) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._context = context
        self._think_mark = think_mark
        self._control = ControlTokens({*tokenizer.control_tokens, *([think_mark] if think_mark else [])})

    def write(self, messages: Sequence[Message], *, enable_thinking: bool) -> Prompt:
        """All messages, whatever their length."""
        texts = [message.text for message in messages]
        mark = next((mark for mark in _MARKS if not any(mark in text for text in texts)), None)
        if mark is None:
            raise InvalidInput("the messages contain all 32 Unicode noncharacters U+FDD0 to U+FDEF", field="parts")
        rendered = self._template.render(
            [
                {"role": str(message.role), "content": self._control.disarm(text, mark)}
                for message, text in zip(messages, texts, strict=True)
            ],
            enable_thinking=enable_thinking,
        )
        tokens = [token for piece in rendered.split(mark) if piece for token in self._tokenizer.encode(piece)]
        is_thinking = bool(self._think_mark) and rendered.rstrip().endswith(str(self._think_mark))
        return Prompt(tokens=tokens, is_thinking=is_thinking)

    def fit(self, messages: Sequence[Message], *, enable_thinking: bool, max_tokens: int) -> Prompt:
        """The newest turns that leave room for an answer: the oldest are dropped whole, the system prompt stays.

        Room is max_tokens, but at most a quarter of the context: a long answer may not cost the whole history.
        Raises ContextOverflow when the last turn alone does not fit, InvalidInput when there is nothing to read.
        """
        system = [message for message in messages[:1] if message.role is Role.SYSTEM]
        turns = _turns(messages[len(system) :])

        def write(first_turn: int) -> Prompt:
            kept = [message for turn in turns[first_turn:] for message in turn]
            return self.write([*system, *kept], enable_thinking=enable_thinking)

        limit = self._context - min(max_tokens, self._context // 4)
        prompt, first = write(0), 0
        if len(prompt.tokens) > limit and len(turns) > 1:
            candidates = range(1, len(turns) - 1)
            fits = bisect.bisect_left(candidates, True, key=lambda turn: len(write(turn).tokens) <= limit)
            first = fits + 1
            prompt = write(first)
        if not prompt.tokens:
            raise InvalidInput("there is nothing to answer", field="messages")
        if len(prompt.tokens) >= self._context:
            raise ContextOverflow(
                f"the message needs {len(prompt.tokens)} tokens, the context holds {self._context} "
                "including the answer; shorten it, or raise engine.max_seq_len if the model can take more"
            )
        dropped = sum(len(turn) for turn in turns[:first])
        return Prompt(tokens=prompt.tokens, is_thinking=prompt.is_thinking, dropped_messages=dropped)


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages grouped so that each group begins with a user's message."""
    turns: list[list[Message]] = []
    for message in messages:
        if not turns or message.role is Role.USER:
            turns.append([])
        turns[-1].append(message)
    return turns
