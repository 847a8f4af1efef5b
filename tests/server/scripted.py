"""A model that says what a test tells it to, and a memory that lives in a dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from edged.errors import EdgedError, InvalidInput, NotFound
from edged.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Measured,
    Message,
    MessageState,
    Metrics,
    Part,
    Role,
    Text,
    TextDelta,
    Usage,
)
from edged.records import (
    Conversation,
    EngineStatus,
    ModelInfo,
    PrivacyStatus,
    Reader,
    SearchHit,
    StoreStatus,
    Transcript,
)

USAGE = Usage(prompt_tokens=7, completion_tokens=2, cached_tokens=3)
METRICS = Metrics(ttft_ms=12.5, prompt_tps=100.0, generation_tps=50.0, peak_bytes=2**33, queue_ms=1.5)
END: tuple[GenerationEvent, ...] = (
    Measured(usage=USAGE, metrics=METRICS),
    Finished(finish_reason=FinishReason.STOP),
)
WAIT = "wait"
"""A step of a script: emit nothing more until `release` is set."""
Step = GenerationEvent | Exception | str


def says(*words: str) -> list[Step]:
    """A script that answers with these deltas and ends."""
    return [*(TextDelta(text=word) for word in words), *END]


async def until(condition: Callable[[], object]) -> None:
    """Return when the condition holds; fail after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.001)


class ScriptedModel:
    """Follows `script` for every request; a step that is an exception is raised."""

    def __init__(self, script: Sequence[Step] = ()) -> None:
        self.script = list(script) or says("Paris", ".")
        self.refusal: EdgedError | None = None
        self.requests: list[GenerationRequest] = []
        self.checked: list[GenerationRequest] = []
        self.can_hear = False
        self.can_see = False
        self.emitted = 0
        self.running = 0
        self.stopped_early = 0
        self.release = asyncio.Event()

    async def resolve(self, model: str) -> str:
        if model not in ("", "tiny"):
            raise NotFound(f"no engine named {model}", resource=("model", model))
        return "tiny"

    async def hears(self, model: str) -> bool:
        return self.can_hear

    async def sees(self, model: str) -> bool:
        return self.can_see

    async def check(self, request: GenerationRequest) -> None:
        self.checked.append(request)
        if self.refusal:
            raise self.refusal
        if not 0 <= request.sampling.temperature <= 2:
            raise InvalidInput("temperature must be between 0 and 2", field="sampling.temperature")

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        self.requests.append(request)
        self.running += 1
        ended = False
        try:
            for step in self.script:
                await asyncio.sleep(0)
                if isinstance(step, Exception):
                    ended = True
                    raise step
                if isinstance(step, str):
                    await self.release.wait()
                    continue
                self.emitted += 1
                yield step
            ended = True
        finally:
            self.running -= 1
            self.stopped_early += not ended

    def models(self) -> list[ModelInfo]:
        return [_model("other"), replace(_model("tiny"), is_default=True, is_loaded=True, is_demo=True)]

    def status(self) -> EngineStatus:
        return EngineStatus(
            model="tiny",
            device="script",
            context_length=4096,
            active_requests=self.running,
            queued_requests=0,
            max_queued_requests=8,
            cached_conversations=0,
            kv_cache_bytes=0,
            kv_cache_limit_bytes=2**40,
            load_seconds=0.5,
        )


class ScriptedRounds(ScriptedModel):
    """Follows a script for each request in turn; the last one for ever."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        super().__init__()
        self._scripts = list(scripts)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        self.script = list(self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0])
        async with aclosing(super().generate(request)) as events:
            async for event in events:
                yield event


@dataclass(frozen=True, kw_only=True)
class Turn:
    conversation_id: str
    user_message_id: str
    answer_message_id: str
    history: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True)
class Closing:
    """What close_turn was called with."""

    answer_message_id: str
    parts: tuple[Part, ...]
    reasoning: str
    state: MessageState
    finish_reason: FinishReason | None
    usage: Usage | None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass
class DictMemory:
    """Memory and Conversations at once. `open_error`, `close_error` are raised; `slow` holds both calls up."""

    messages: dict[str, list[Message]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    closings: list[Closing] = field(default_factory=list)
    opened: int = 0
    open_error: Exception | None = None
    close_error: Exception | None = None
    slow: asyncio.Event | None = None
    now: datetime = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    async def open_turn(
        self, *, conversation_id: str, parts: tuple[Part, ...], system_prompt: str | None, model: str, reader: Reader
    ) -> Turn:
        await self._wait()
        if self.open_error:
            raise self.open_error
        if conversation_id:
            self._known(conversation_id, reader)
        name = conversation_id or f"c{len(self.messages) + 1}"
        said = self.messages.setdefault(name, [])
        self.titles.setdefault(name, "untitled")
        self.owners.setdefault(name, reader.owner)
        if system_prompt is not None:
            said.append(self._message(name, Role.SYSTEM, (Text(text=system_prompt),)))
        user = self._message(name, Role.USER, parts)
        said.append(user)
        answer = replace(self._message(name, Role.ASSISTANT, ()), state=MessageState.PENDING, model=model)
        turn = Turn(conversation_id=name, user_message_id=user.id, answer_message_id=answer.id, history=tuple(said))
        said.append(answer)
        self.opened += 1
        return turn

    async def close_turn(
        self,
        answer_message_id: str,
        *,
        parts: tuple[Part, ...],
        reasoning: str,
        state: MessageState,
        finish_reason: FinishReason | None,
        usage: Usage | None,
    ) -> None:
        closing = Closing(
            answer_message_id=answer_message_id,
            parts=parts,
            reasoning=reasoning,
            state=state,
            finish_reason=finish_reason,
            usage=usage,
        )
        self.closings.append(closing)
        await self._wait()
        if self.close_error:
            raise self.close_error
        said = self.messages[answer_message_id.split("/")[0]]
        place = next(index for index, message in enumerate(said) if message.id == answer_message_id)
        said[place] = replace(
            said[place],
            parts=parts,
            reasoning=reasoning,
            state=state,
            finish_reason=finish_reason,
            usage=usage,
        )

    async def list(self, *, reader: Reader, page_size: int, page_token: str) -> tuple[tuple[Conversation, ...], str]:
        names = self._seen(reader)[int(page_token or 0) :]
        size = page_size or 50
        token = str(int(page_token or 0) + size) if len(names) > size else ""
        return tuple(map(self._conversation, names[:size])), token

    async def get(self, conversation_id: str, *, reader: Reader) -> Transcript:
        self._known(conversation_id, reader)
        return Transcript(
            conversation=self._conversation(conversation_id), messages=tuple(self.messages[conversation_id])
        )

    async def search(
        self, query: str, *, reader: Reader, page_size: int, page_token: str
    ) -> tuple[tuple[SearchHit, ...], str]:
        return tuple(
            SearchHit(
                conversation=self._conversation(name), message_id=message.id, role=message.role, snippet=message.text
            )
            for name in self._seen(reader)
            for message in self.messages[name]
            if query in message.text
        ), ""

    async def rename(self, conversation_id: str, title: str, *, reader: Reader) -> Conversation:
        self._known(conversation_id, reader)
        self.titles[conversation_id] = title
        return self._conversation(conversation_id)

    async def delete(self, conversation_id: str, *, reader: Reader) -> None:
        self._known(conversation_id, reader)
        del self.messages[conversation_id]

    async def export(self, conversation_ids: Sequence[str], *, reader: Reader) -> AsyncIterator[Transcript]:
        for name in conversation_ids or self._seen(reader):
            yield await self.get(name, reader=reader)

    async def status(self) -> StoreStatus:
        return StoreStatus(
            database="memory",
            encrypted=False,
            key_source="",
            database_bytes=0,
            conversations=len(self.messages),
            messages=sum(map(len, self.messages.values())),
            protection="None.",
        )

    async def _wait(self) -> None:
        if self.slow:
            await self.slow.wait()

    def _seen(self, reader: Reader) -> list[str]:
        return [name for name in self.messages if reader.sees_all or self.owners[name] == reader.owner]

    def _known(self, conversation_id: str, reader: Reader) -> None:
        if conversation_id not in self._seen(reader):
            raise NotFound("no such conversation", resource=("conversation", conversation_id))

    def _message(self, conversation_id: str, role: Role, parts: tuple[Part, ...]) -> Message:
        number = len(self.messages[conversation_id])
        return Message(role=role, parts=parts, id=f"{conversation_id}/{role}{number}", created_at=self.now)

    def _conversation(self, name: str) -> Conversation:
        return Conversation(
            id=name,
            title=self.titles[name],
            created_at=self.now,
            updated_at=self.now,
            message_count=len(self.messages[name]),
        )


def privacy() -> PrivacyStatus:
    return PrivacyStatus(enforcements=(), refused_connections=0, content_logging=False)


BUILT_AT_SECONDS = 1_767_312_000


def _model(name: str) -> ModelInfo:
    return ModelInfo(
        name=name,
        model_type="llama",
        parameters=135_000_000,
        context_length=8192,
        precision="INT4",
        disk_bytes=2**33,
        license="Apache-2.0",
        built_at_seconds=BUILT_AT_SECONDS,
    )
