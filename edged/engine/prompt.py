"""Messages to the tokens of a prompt that fits the context.

What people write must stay what they wrote: a message that contains `<|im_end|>` is read by the model as
those ten characters and cannot end its own turn. So every place where a control token could be recognised
inside a message, or across its edge, is marked by a character that occurs nowhere else; the rendered prompt
is cut at the marks and its pieces are encoded apart. Messages without such places encode as usual.

Where the template writes the token that means a picture or a recording, the file's own tokens take its place. Nobody
can type that token, so the files of the messages and the places in the prompt are the same in number, kind and order.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeGuard

from edged.engine.chat_template import ChatTemplate, Content
from edged.engine.encoder import Media, MediaType, Percept, Reader
from edged.engine.positions import Area
from edged.engine.session import TokenType
from edged.engine.tokenizer import Tokenizer
from edged.engine.tool_form import GENERIC, ToolForm
from edged.engine.tool_messages import described, explained, template_messages, texts_of
from edged.errors import ArtefactError, ContextOverflow, InvalidInput
from edged.events import File, Image, Message, Part, Role, Text, ToolUse

_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Unicode noncharacters, reserved for use inside a program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A picture or a recording among the tokens of a prompt."""

    start: int
    """Index of its first token."""
    percept: Percept

    @property
    def stop(self) -> int:
        """Index after its last."""
        return self.start + len(self.percept.tokens)

    @property
    def area(self) -> Area:
        """The same as rows and columns."""
        return Area(start=self.start, rows=self.percept.rows, columns=self.percept.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the model reads before it answers."""

    tokens: list[int]
    """Those below 0 are parts of pictures and recordings."""
    is_thinking: bool
    """The prompt ends by opening the model's thinking."""
    placed: tuple[Placed, ...] = ()
    """Pictures and recordings, in their order."""
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

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        *,
        context: int,
        think_mark: str | None,
        readers: Mapping[MediaType, Reader] = MappingProxyType({}),
        tool_form: ToolForm = GENERIC,
    ) -> None:
        """readers: of what the model reads besides text. tool_form: how it writes calls of tools."""
        self._tokenizer = tokenizer
        self._template = template
        self._context = context
        self._think_mark = think_mark
        self._readers = readers
        self._tool_form = tool_form
        self._types = {reader.token: reader.type for reader in readers.values()}
        marks = {think_mark, *(reader.text for reader in readers.values()), *tool_form.marks} - {None, ""}
        self._control = ControlTokens({*tokenizer.control_tokens, *map(str, marks)})

    def write(self, messages: Sequence[Message], *, enable_thinking: bool, tool_use: ToolUse | None = None) -> Prompt:
        """All messages, whatever their length."""
        return self._write(messages, self._perceived(messages), enable_thinking, tool_use)

    def _perceived(self, messages: Sequence[Message]) -> Mapping[Media, Percept]:
        files = {part for message in messages for part in message.parts if isinstance(part, File)}
        return {file: self._readers[type(file)].perceive(file.data) for file in files if type(file) in self._readers}

    def _write(
        self,
        messages: Sequence[Message],
        perceived: Mapping[Media, Percept],
        enable_thinking: bool,
        tool_use: ToolUse | None,
    ) -> Prompt:
        tools = tool_use.tools if tool_use else ()
        texts = [text for message in messages for text in texts_of(message.parts)]
        texts += [text for tool in tools for text in (tool.description, tool.parameters)]
        mark = next((mark for mark in _MARKS if not any(mark in text for text in texts)), None)
        if mark is None:
            raise InvalidInput("the messages contain all 32 Unicode noncharacters U+FDD0 to U+FDEF", field="parts")
        rendered = self._rendered(messages, tool_use, mark, enable_thinking)
        tokens = [token for piece in rendered.split(mark) if piece for token in self._tokenizer.encode(piece)]
        is_thinking = bool(self._think_mark) and rendered.rstrip().endswith(str(self._think_mark))
        files = [perceived[part] for message in messages for part in message.parts if self._is_readable(part)]
        return self._placed(Prompt(tokens=tokens, is_thinking=is_thinking), files)

    def _rendered(self, messages: Sequence[Message], tool_use: ToolUse | None, mark: str, enable_thinking: bool) -> str:
        def disarm(text: str) -> str:
            return self._control.disarm(text, mark)

        form = self._tool_form
        written = template_messages(messages, form, lambda message: self._content(message, mark), disarm)
        tools = described(tool_use, disarm) if tool_use else None
        if tools and not form.is_native:
            written, tools = explained(written, tools), None
        return self._template.render(written, enable_thinking=enable_thinking, tools=tools)

    def _first_writable(self, system: Sequence[Message], turns: Sequence[Sequence[Message]]) -> int:
        """The first turn from which on it is worth counting tokens, which takes a microsecond and much memory a byte.

        Raises ContextOverflow where the last one has too many bytes for any tokens.
        """
        left = self._context * self._tokenizer.longest_token_bytes - _size(system)
        for index in range(len(turns) - 1, -1, -1):
            left -= _size(turns[index])
            if left < 0:
                if index == len(turns) - 1:
                    raise ContextOverflow(
                        f"the message is far longer than the {self._context} tokens that the context holds; shorten it"
                    )
                return index + 1
        return 0

    def _is_readable(self, part: Part) -> TypeGuard[Media]:
        return isinstance(part, File) and type(part) in self._readers

    def _content(self, message: Message, mark: str) -> Content:
        """A text, or a list of parts where there is a file among them, as transformers has it."""
        if all(isinstance(part, Text) for part in message.parts):
            return self._control.disarm(message.text, mark)
        return [
            {"type": "text", "text": self._control.disarm(part.text, mark)}
            if isinstance(part, Text)
            else {"type": "image" if isinstance(part, Image) else "audio"}
            for part in message.parts
        ]

    def _placed(self, prompt: Prompt, files: Sequence[Percept]) -> Prompt:
        """The prompt with each file's tokens where the template wanted the file."""
        places = [place for place, token in enumerate(prompt.tokens) if token in self._types]
        wanted, given = [self._types[prompt.tokens[place]] for place in places], [file.type for file in files]
        if wanted != given:
            raise ArtefactError(f"the chat template has places for {_counted(wanted)}, there are {_counted(given)}")
        tokens: list[int] = []
        placed: list[Placed] = []
        for begin, place, file in zip([0, *(one + 1 for one in places)], places, files, strict=False):
            tokens += prompt.tokens[begin:place]
            placed.append(Placed(start=len(tokens), percept=file))
            tokens += file.tokens
        tokens += prompt.tokens[places[-1] + 1 :] if places else prompt.tokens
        return replace(prompt, tokens=tokens, placed=tuple(placed))

    def plain(self, text: str) -> Prompt:
        """A text as it stands, in which control tokens may be written.

        Raises ContextOverflow when it does not fit, InvalidInput when it is empty or has places for files.
        """
        if len(text.encode()) > self._context * self._tokenizer.longest_token_bytes:
            raise self._overflow("the prompt is far longer than")
        tokens = self._tokenizer.encode(text)
        if not tokens:
            raise InvalidInput("there is nothing to go on with", field="prompt")
        if not self._types.keys().isdisjoint(tokens):
            raise InvalidInput("a prompt is text alone; pictures and recordings come in messages", field="prompt")
        if len(tokens) >= self._context:
            raise self._overflow(f"the prompt needs {len(tokens)} of")
        return Prompt(tokens=tokens, is_thinking=False)

    def _overflow(self, what: str) -> ContextOverflow:
        return ContextOverflow(f"{what} the {self._context} tokens that the context holds; shorten it", field="prompt")

    def fit(
        self,
        messages: Sequence[Message],
        *,
        enable_thinking: bool,
        max_tokens: int,
        tool_use: ToolUse | None = None,
    ) -> Prompt:
        """The newest turns that leave room for an answer: the oldest are dropped whole, the system prompt stays.

        Room is max_tokens, but at most a quarter of the context: a long answer may not cost the whole history.
        Raises ContextOverflow when the last turn alone does not fit, InvalidInput when there is nothing to read.
        """
        system = [message for message in messages[:1] if message.role is Role.SYSTEM]
        turns = _turns(messages[len(system) :])
        perceived = self._perceived(messages)

        def write(first_turn: int) -> Prompt:
            kept = [message for turn in turns[first_turn:] for message in turn]
            return self._write([*system, *kept], perceived, enable_thinking, tool_use)

        limit = self._context - min(max_tokens, self._context // 4)
        first = self._first_writable(system, turns)
        prompt = write(first)
        if len(prompt.tokens) > limit and first < len(turns) - 1:
            candidates = range(first + 1, len(turns) - 1)
            fits = bisect.bisect_left(candidates, True, key=lambda turn: len(write(turn).tokens) <= limit)
            first += fits + 1
            prompt = write(first)
        if not prompt.tokens:
            raise InvalidInput("there is nothing to answer", field="messages")
        if len(prompt.tokens) >= self._context:
            raise ContextOverflow(
                f"the message needs {len(prompt.tokens)} tokens, the context holds {self._context} "
                "including the answer; shorten it, or raise engine.max_seq_len if the model can take more"
            )
        dropped = sum(len(turn) for turn in turns[:first])
        return replace(prompt, dropped_messages=dropped)


def _size(messages: Sequence[Message]) -> int:
    """Bytes of text."""
    return sum(len(text.encode()) for message in messages for text in texts_of(message.parts))


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages grouped so that each group begins with a user's message."""
    turns: list[list[Message]] = []
    for message in messages:
        if not turns or message.role is Role.USER:
            turns.append([])
        turns[-1].append(message)
    return turns


def _counted(types: Sequence[TokenType]) -> str:
    """In their order, should it be that which differs."""
    if len({*types}) > 1:
        return " then ".join(one.name.lower() for one in types[:20])
    return f"{len(types)} {'recordings' if TokenType.AUDIO in types else 'pictures'}"
