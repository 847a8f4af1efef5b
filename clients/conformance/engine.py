"""An engine without a model: what it answers follows from the question's first word."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator

from edged.errors import InvalidInput, NotFound, QueueFull
from edged.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Measured,
    Metrics,
    TextDelta,
    Usage,
)
from edged.records import EngineStatus, ModelInfo

NAME = "conformance"
STREAMED_WORDS = 500
LONG_ANSWER_BYTES = 5 * 1024 * 1024
"""More than gRPC clients accept by default."""
RETRY_SECONDS = 0.7
ANSWERED = "well done"
_END = (
    Measured(
        usage=Usage(prompt_tokens=1, completion_tokens=1, cached_tokens=0),
        metrics=Metrics(ttft_ms=1.0, prompt_tps=0.0, generation_tps=1.0, peak_bytes=0),
    ),
    Finished(finish_reason=FinishReason.STOP),
)


class ScriptedEngine:
    """Satisfies LanguageModel and Engines."""

    def __init__(self) -> None:
        self.code_words = {task: secrets.token_hex(4) for task in ("stream", "unknown", "details", "long")}
        """By task: what a client can know only by reading what it was sent."""
        self.refused_at: float | None = None
        """When somebody was told to come back later, by the loop's clock."""

    async def resolve(self, model: str) -> str:
        """Part of LanguageModel."""
        if model not in ("", NAME):
            raise NotFound(f"no engine {model[:60]!r} is installed here", resource=("model", model))
        return NAME

    async def hears(self, model: str) -> bool:
        """Part of LanguageModel."""
        return False

    async def sees(self, model: str) -> bool:
        """Part of LanguageModel."""
        return False

    async def check(self, request: GenerationRequest) -> None:
        """Part of LanguageModel."""
        match request.messages[-1].text.split():
            case ["details"]:
                raise InvalidInput("read the field at fault in the details", field=self.code_words["details"])
            case ["retry"] if self.refused_at is None:
                self.refused_at = asyncio.get_running_loop().time()
                raise QueueFull("come back when RetryInfo says", retry_seconds=RETRY_SECONDS)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """Part of LanguageModel."""
        match request.messages[-1].text.split():
            case ["stream" | "unknown" as task]:
                for number in range(STREAMED_WORDS):
                    yield TextDelta(text=f"{number} ")
                    await asyncio.sleep(0)
                yield TextDelta(text=self.code_words[task])
            case ["cancel"]:
                while True:
                    yield TextDelta(text="on and ")
                    await asyncio.sleep(0.02)
            case ["deadline"]:
                yield TextDelta(text="wait")
                await asyncio.Event().wait()
            case ["long"]:
                for _ in range(LONG_ANSWER_BYTES // 65_536):
                    yield TextDelta(text="x" * 65_536)
                    await asyncio.sleep(0)
                yield TextDelta(text=self.code_words["long"])
            case _:
                yield TextDelta(text=ANSWERED)
        for event in _END:
            yield event

    def models(self) -> list[ModelInfo]:
        """Part of Engines."""
        model = ModelInfo(
            name=NAME,
            model_type="script",
            parameters=0,
            context_length=4096,
            precision="none",
            disk_bytes=0,
            license="Apache-2.0",
            is_default=True,
            is_loaded=True,
        )
        return [model]

    def status(self) -> EngineStatus:
        """Part of Engines."""
        return EngineStatus(
            model=NAME,
            device="none",
            context_length=4096,
            active_requests=0,
            queued_requests=0,
            max_queued_requests=8,
            cached_conversations=0,
            kv_cache_bytes=0,
            kv_cache_limit_bytes=0,
            load_seconds=0.0,
        )
