"""Messages to the tokens of a prompt that fits the context.

What people write must stay what they wrote: a message that contains `<|im_end|>` is read by the model as
those ten characters and cannot end its own turn. So every place where a control token could be recognised
inside a message, or across its edge, is marked by a character that occurs nowhere else; the rendered prompt
is cut at the marks and its pieces are encoded apart. Messages without such places encode as usual.

Where the template writes the token that means a picture, the picture's own tokens take its place. Nobody can type
that token, so the pictures of the messages and the places in the prompt are the same in number and order.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from edged.engine.chat_template import ChatTemplate, Content
from edged.engine.positions import Area
from edged.engine.tokenizer import Tokenizer
from edged.engine.vision_encoder import Picture, VisionEncoder
from edged.errors import ArtefactError, ContextOverflow, InvalidInput
from edged.events import Image, Message, Role, Text

_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Unicode noncharacters, reserved for use inside a program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the model reads before it answers."""

    tokens: list[int]
    """Those below 0 are parts of pictures."""
    is_thinking: bool
    """The prompt ends by opening the model's thinking."""
    pictures: tuple[tuple[Area, Picture], ...] = ()
    """Where pictures are among the tokens, in their order."""
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
        eyes: VisionEncoder | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._context = context
        self._think_mark = think_mark
        self._eyes = eyes
        marks = {think_mark, eyes.vision.image_text if eyes else None} - {None, ""}
        self._control = ControlTokens({*tokenizer.control_tokens, *map(str, marks)})

    def write(self, messages: Sequence[Message], *, enable_thinking: bool) -> Prompt:
        """All messages, whatever their length."""
        return self._write(messages, self._look_at(messages), enable_thinking)

    def _look_at(self, messages: Sequence[Message]) -> Mapping[Image, Picture]:
        if self._eyes is None:
            return {}
        images = {part for message in messages for part in message.parts if isinstance(part, Image)}
        return {image: self._eyes.look(image.data) for image in images}

    def _write(self, messages: Sequence[Message], seen: Mapping[Image, Picture], enable_thinking: bool) -> Prompt:
        texts = [part.text for message in messages for part in message.parts if isinstance(part, Text)]
        mark = next((mark for mark in _MARKS if not any(mark in text for text in texts)), None)
        if mark is None:
            raise InvalidInput("the messages contain all 32 Unicode noncharacters U+FDD0 to U+FDEF", field="parts")
        rendered = self._template.render(
            [{"role": str(message.role), "content": self._content(message, mark)} for message in messages],
            enable_thinking=enable_thinking,
        )
        tokens = [token for piece in rendered.split(mark) if piece for token in self._tokenizer.encode(piece)]
        is_thinking = bool(self._think_mark) and rendered.rstrip().endswith(str(self._think_mark))
        pictures = [seen[part] for message in messages for part in message.parts if isinstance(part, Image)]
        return self._placed(Prompt(tokens=tokens, is_thinking=is_thinking), pictures)

    def _content(self, message: Message, mark: str) -> Content:
        """A text, or a list of parts where there is a picture among them, as transformers has it."""
        if not any(isinstance(part, Image) for part in message.parts):
            return self._control.disarm(message.text, mark)
        return [
            {"type": "text", "text": self._control.disarm(part.text, mark)}
            if isinstance(part, Text)
            else {"type": "image"}
            for part in message.parts
        ]

    def _placed(self, prompt: Prompt, pictures: Sequence[Picture]) -> Prompt:
        """The prompt with each picture's tokens where the template wanted the picture."""
        if self._eyes is None:
            return prompt
        places = [place for place, token in enumerate(prompt.tokens) if token == self._eyes.vision.image_token]
        if len(places) != len(pictures):
            raise ArtefactError(f"the chat template has places for {len(places)} pictures, there are {len(pictures)}")
        tokens: list[int] = []
        placed: list[tuple[Area, Picture]] = []
        for begin, place, picture in zip([0, *(one + 1 for one in places)], places, pictures, strict=False):
            tokens += prompt.tokens[begin:place]
            placed.append((Area(start=len(tokens), rows=picture.rows, columns=picture.columns), picture))
            tokens += picture.tokens
        tokens += prompt.tokens[places[-1] + 1 :] if places else prompt.tokens
        return replace(prompt, tokens=tokens, pictures=tuple(placed))

    def fit(self, messages: Sequence[Message], *, enable_thinking: bool, max_tokens: int) -> Prompt:
        """The newest turns that leave room for an answer: the oldest are dropped whole, the system prompt stays.

        Room is max_tokens, but at most a quarter of the context: a long answer may not cost the whole history.
        Raises ContextOverflow when the last turn alone does not fit, InvalidInput when there is nothing to read.
        """
        system = [message for message in messages[:1] if message.role is Role.SYSTEM]
        turns = _turns(messages[len(system) :])
        seen = self._look_at(messages)

        def write(first_turn: int) -> Prompt:
            kept = [message for turn in turns[first_turn:] for message in turn]
            return self._write([*system, *kept], seen, enable_thinking)

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
        return replace(prompt, dropped_messages=dropped)


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages grouped so that each group begins with a user's message."""
    turns: list[list[Message]] = []
    for message in messages:
        if not turns or message.role is Role.USER:
            turns.append([])
        turns[-1].append(message)
    return turns
