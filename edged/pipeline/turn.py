"""One turn: a message is checked, stored, answered, and the answer stored as what became of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeVar

from edged.errors import InvalidInput, NotFound
from edged.events import (
    Audio,
    File,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Image,
    Measured,
    Message,
    MessageState,
    OutputFormat,
    Part,
    ReasoningDelta,
    Role,
    Sampling,
    Started,
    Text,
    ToolCall,
    ToolResult,
    ToolReturned,
    ToolUse,
    Transcribed,
    TurnEvent,
    Usage,
)
from edged.pipeline.answer_parts import AnswerParts
from edged.pipeline.hearing import transcript_of, write_down
from edged.pipeline.ports import LanguageModel, Memory, OpenTurn, Sight, SpeechToText
from edged.pipeline.prompt import prompted
from edged.pipeline.seeing import put_in_words, stripped
from edged.pipeline.tool_rounds import ToolRounds
from edged.pipeline.tools.toolbox import Toolbox
from edged.records import Reader

ENDING_SECONDS = 1.0
"""How long a turn waits for an earlier one of its conversation, which may have been cancelled just now."""
MAX_PARTS = 64

_Result = TypeVar("_Result")


class TurnConductor:
    """Leads turns from the user's message to the stored answer; any number at a time."""

    def __init__(
        self,
        model: LanguageModel,
        memory: Memory,
        max_text_bytes: int,
        *,
        system_prompt: str = "",
        tells_time: bool = False,
        speech: SpeechToText | None = None,
        max_recording_seconds: int = 600,
        vision: Sight | None = None,
        toolbox: Toolbox | None = None,
    ) -> None:
        """`system_prompt` is told to the model where a conversation has none of its own, with the date and time
        if `tells_time`; neither is stored.

        speech: writes down recordings of at most `max_recording_seconds` for models that cannot hear.
        vision: puts pictures in words for models that cannot see.
        toolbox: what the model may do by itself.
        """
        self._model = model
        self._rounds = ToolRounds(model, toolbox or Toolbox())
        self._speech = speech
        self._vision = vision
        self._max_recording_seconds = max_recording_seconds
        self._system_prompt = system_prompt
        self._tells_time = tells_time
        self._memory = memory
        self._max_text_bytes = max_text_bytes
        self._running: dict[str, asyncio.Future[None]] = {}  # conversation -> done when its turn is closed
        self._thinking: dict[str, tuple[str, threading.Event | None]] = {}  # answer -> its reader's, what ends it

    async def run(
        self,
        *,
        parts: tuple[Part, ...],
        reader: Reader,
        conversation_id: str = "",
        model: str = "",
        sampling: Sampling | None = None,
        enable_thinking: bool = False,
        max_reasoning_tokens: int | None = None,
        system_prompt: str | None = None,
        output: OutputFormat | None = None,
        tool_use: ToolUse | None = None,
        heard: Callable[[], str | None] = lambda: None,
        told: tuple[Message, ...] = (),
    ) -> AsyncGenerator[TurnEvent, None]:
        """Yield `Started`, what the model emits, and `Finished`; the answer is durable before `Finished`.

        What is wrong with the request is raised before anything is stored. Once the message is stored, its
        answer is closed exactly once: COMPLETE; CANCELLED when the consumer closes this iterator (use
        `aclosing`) or is cancelled; FAILED when the model raises, which is raised on.
        reader: who asks: whose conversations these are.
        tool_use: tools that the caller runs. The turn ends with TOOL_CALLS when they are called, and their results,
        `parts` of ToolResult alone, are the next one of the conversation.
        heard: of a cancelled answer that was spoken, what was said aloud, which is all that is stored; None for others.
        told: what the model reads, `parts` last and as it takes them, instead of what is stored; then the daemon's own
        tools stay out of it.
        """
        check_parts(parts, self._max_text_bytes)
        check_text_size(system_prompt or "", self._max_text_bytes, field="system_prompt")
        model = await self._model.resolve(model)
        if not told:
            parts = await self.perceived(parts, model)
        request = GenerationRequest(
            messages=told or self._prompted(_new_messages(parts, system_prompt)),
            sampling=sampling or Sampling(),
            enable_thinking=enable_thinking,
            max_reasoning_tokens=max_reasoning_tokens,
            stop_thinking=threading.Event(),
            model=model,
            output=output,
            tool_use=tool_use if told else self._rounds.tools_for(tool_use, reader, has_form=output is not None),
        )
        await self._model.check(request)
        if earlier := self._running.get(conversation_id):
            await asyncio.wait({earlier}, timeout=ENDING_SECONDS)
        opening = asyncio.ensure_future(
            self._memory.open_turn(
                conversation_id=conversation_id,
                parts=parts,
                system_prompt=system_prompt,
                model=request.model,
                reader=reader,
            )
        )
        answer = _Answer(heard=heard)
        try:
            turn = await asyncio.shield(opening)
            self._running[turn.conversation_id] = answer.closed
            self._thinking[turn.answer_message_id] = (reader.owner, request.stop_thinking)
            yield Started(
                conversation_id=turn.conversation_id,
                user_message_id=turn.user_message_id,
                answer_message_id=turn.answer_message_id,
                model=request.model,
            )
            if transcript := transcript_of(parts):
                yield Transcribed(text=transcript)
            request = replace(request, messages=told or self._prompted(turn.history))
            theirs = tool_use.tools if tool_use else ()
            async with aclosing(self._rounds.generate(request, theirs, reader)) as generation:
                async for event in generation:
                    answer.take(event)
                    if not isinstance(event, Finished):
                        yield event
        except (asyncio.CancelledError, GeneratorExit):
            answer.cancel()
            raise
        finally:
            await to_the_end(self._close(opening, answer))
        if answer.finish_reason is None:
            raise RuntimeError("the model stopped without Finished")
        yield Finished(finish_reason=answer.finish_reason)

    def check_told(self, messages: tuple[Message, ...]) -> None:
        """What is kept of a conversation that comes whole. Raises InvalidInput for what `run` would not take."""
        for message in messages:
            if message.role in (Role.USER, Role.TOOL):
                check_parts(message.parts, self._max_text_bytes)
            else:
                check_text_size(message.text, self._max_text_bytes, field="messages")

    def stop_thinking(self, answer_message_id: str, reader: Reader) -> None:
        """Let an answer that goes on follow within one token; one that is not thought about follows as it does.

        Raises NotFound where no answer of that name is being generated for this reader.
        """
        owner, stop = self._thinking.get(answer_message_id, ("", None))
        if stop is None or not (owner == reader.owner or reader.sees_all):
            raise NotFound("no such answer is being generated", resource=("answer", answer_message_id))
        stop.set()

    async def hears(self, model: str) -> bool:
        """Whether the engine of this name, the default one if empty, takes recordings as they are."""
        return await self._model.hears(await self._model.resolve(model))

    async def perceived(self, parts: tuple[Part, ...], model: str) -> tuple[Part, ...]:
        """The parts as this engine, named in full, takes them: what it cannot hear or see is put in words.

        Raises InvalidInput for what is no recording or picture, and what recognizers raise.
        """
        return await self._seen(await self._heard(parts, model), model)

    async def _heard(self, parts: tuple[Part, ...], model: str) -> tuple[Part, ...]:
        """The parts with transcripts of recordings where the model needs them, and without those a client made up."""
        if not any(isinstance(part, Audio) for part in parts):
            return parts
        parts = tuple(replace(part, transcript="") if isinstance(part, Audio) else part for part in parts)
        if self._speech is None or await self._model.hears(model):
            return parts
        return await write_down(parts, self._speech, max_seconds=self._max_recording_seconds)

    async def _seen(self, parts: tuple[Part, ...], model: str) -> tuple[Part, ...]:
        """The same of pictures and their descriptions; what else their files say is kept from everybody."""
        if not any(isinstance(part, Image) for part in parts):
            return parts
        parts = await stripped(parts)
        if self._vision is None or await self._model.sees(model):
            return parts
        return await put_in_words(parts, self._vision)

    def _prompted(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return prompted(messages, self._system_prompt, tells_time=self._tells_time)

    async def _close(self, opening: asyncio.Future[OpenTurn], answer: _Answer) -> None:
        """Store the answer of a turn that was opened, or is being opened; one that failed to open has none."""
        await asyncio.wait({opening})
        if opening.cancelled() or opening.exception():
            return
        turn = opening.result()
        try:
            await self._memory.close_turn(
                turn.answer_message_id,
                parts=answer.kept,
                reasoning="".join(answer.reasoning),
                state=answer.state,
                finish_reason=answer.finish_reason,
                usage=answer.usage,
            )
        finally:
            answer.closed.set_result(None)
            self._thinking.pop(turn.answer_message_id, None)
            if self._running.get(turn.conversation_id) is answer.closed:
                del self._running[turn.conversation_id]


@dataclass(slots=True)
class _Answer:
    """What was generated so far. FAILED until something better is known."""

    heard: Callable[[], str | None]
    parts: AnswerParts = field(default_factory=AnswerParts)
    reasoning: list[str] = field(default_factory=list)
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    state: MessageState = MessageState.FAILED
    closed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def kept(self) -> tuple[Part, ...]:
        """What is stored of it. Calls that wait for the caller's results are kept where they are whole."""
        heard = self.heard() if self.state is MessageState.CANCELLED else None
        if heard is not None:
            return (Text(text=heard),) if heard else ()
        return self.parts.parts(with_open_calls=self.finish_reason is FinishReason.TOOL_CALLS)

    def take(self, event: GenerationEvent | ToolReturned) -> None:
        self.parts.take(event)
        if isinstance(event, ReasoningDelta):
            self.reasoning.append(event.text)
        elif isinstance(event, Measured):
            self.usage = event.usage
        elif isinstance(event, Finished):
            cancelled = event.finish_reason is FinishReason.CANCELLED
            self.finish_reason = event.finish_reason
            self.state = MessageState.CANCELLED if cancelled else MessageState.COMPLETE

    def cancel(self) -> None:
        """A cancellation that comes after the end changes nothing."""
        if self.finish_reason is None:
            self.finish_reason = FinishReason.CANCELLED
            self.state = MessageState.CANCELLED


def check_parts(parts: tuple[Part, ...], max_text_bytes: int) -> None:
    """Raise InvalidInput unless the message says something in at most `MAX_PARTS` parts and `max_text_bytes`."""
    if len(parts) > MAX_PARTS:
        raise InvalidInput(f"a message has at most {MAX_PARTS} parts", field="parts")
    if not any(_says_something(part) for part in parts):
        raise InvalidInput("the message is empty; say something", field="parts")
    has_results = any(isinstance(part, ToolResult) for part in parts)
    for index, part in enumerate(parts):
        if isinstance(part, File) and not part.data:
            raise InvalidInput(f"parts[{index}] is an empty file", field=f"parts[{index}]")
        if isinstance(part, ToolCall):
            raise InvalidInput(f"parts[{index}]: only the assistant calls tools", field=f"parts[{index}]")
        if has_results and not isinstance(part, ToolResult):
            message = f"parts[{index}]: what tools returned comes in a message of its own"
            raise InvalidInput(message, field=f"parts[{index}]")
    texts = [
        part.text if isinstance(part, Text) else part.content for part in parts if isinstance(part, Text | ToolResult)
    ]
    check_text_size("".join(texts), max_text_bytes, field="parts")


def _says_something(part: Part) -> bool:
    if isinstance(part, Text):
        return bool(part.text.strip())
    return bool(part.data) if isinstance(part, File) else True


def check_text_size(text: str, max_text_bytes: int, *, field: str) -> None:
    """Raise InvalidInput when `text` is longer in UTF-8 or cannot be written in it."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        raise InvalidInput("the text is not valid Unicode", field=field) from exc
    if size > max_text_bytes:
        raise InvalidInput(
            f"the text is {size:,} bytes long; the limit is {max_text_bytes:,} (store.max_text_bytes)", field=field
        )


def _new_messages(parts: tuple[Part, ...], system_prompt: str | None) -> tuple[Message, ...]:
    role = Role.TOOL if isinstance(parts[0], ToolResult) else Role.USER
    user = Message(role=role, parts=parts)
    return (Message(role=Role.SYSTEM, parts=(Text(text=system_prompt),)), user) if system_prompt else (user,)


async def to_the_end(work: Coroutine[None, None, _Result]) -> _Result:
    """Run `work` to its end even if cancelled meanwhile; the cancellation is raised after it."""
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as exc:
            cancellation = exc
    result = task.result()
    if cancellation:
        raise cancellation
    return result
