"""The engine behind asyncio: satisfies `edged.pipeline.ports.LanguageModel`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path

from edged.config import EngineConfig
from edged.engine.device import DeviceThread, Job, LoadedEngine
from edged.engine.encoder import Media, MediaType, Reader
from edged.engine.engine import load_engine
from edged.engine.generate import prompt_of, require_readable, told, validate_request
from edged.engine.grammar import Form, check_grammar
from edged.engine.installed import find_engine, installed_engines
from edged.engine.manifest import Manifest, read_manifest
from edged.engine.readers import readers, reads
from edged.engine.session import CountsExperts
from edged.engine.stream import EventStream
from edged.engine.tool_form import GENERIC
from edged.engine.tool_grammar import CallForm, callable_tools
from edged.engine.tool_messages import texts_of
from edged.errors import ContextOverflow, Unavailable
from edged.events import File, Finished, GenerationEvent, GenerationRequest, Image, Measured, Message
from edged.records import EngineStatus, ModelInfo

DEMO_PARAMETERS = 500_000_000
TEMPLATE_TOKENS = 256
"""More than any chat template puts around one message."""


class EngineWorker:
    """Coroutines hand requests to the device thread and read their events."""

    def __init__(self, config: EngineConfig, engine_dirs: Sequence[Path]) -> None:
        self._config = config
        self._directories = tuple(engine_dirs)
        self.on_measured: Callable[[Measured], object] = lambda measured: None
        """Told of each answer that has ended."""
        self._device = DeviceThread(
            self._load, max_active=config.max_active, max_queued=config.max_queued, max_loaded=config.max_loaded
        )

    async def start(self) -> None:
        """Start the device thread and load the default engine. Raises NotFound, ArtefactError."""
        self._device.start()
        try:
            await asyncio.wrap_future(self._device.load(self._config.default))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop computing; answers under way fail with Unavailable. Drain before, to let them end."""
        await asyncio.to_thread(self._device.stop)

    @property
    def is_running(self) -> bool:
        """Whether its thread has not ended; after `close` because an engine is being loaded."""
        return self._device.is_running

    async def failed(self) -> None:
        """Wait until the device thread has broken, as it may never do. Raises Unavailable then."""
        raise Unavailable(await asyncio.shield(asyncio.wrap_future(self._device.broken)))

    async def resolve(self, model: str) -> str:
        """See LanguageModel."""
        return find_engine(self._directories, model or self._config.default).name

    async def hears(self, model: str) -> bool:
        """See LanguageModel."""
        return self._manifest(model).audio is not None

    async def sees(self, model: str) -> bool:
        """See LanguageModel."""
        return self._manifest(model).vision is not None

    async def check(self, request: GenerationRequest) -> None:
        """See LanguageModel. Of an engine that is not in memory the context is not known yet."""
        validate_request(request)
        self._device.require_room()
        engine = self._loaded(request.model)
        if form := _form(request, engine):
            await asyncio.to_thread(engine.grammars.prepare if engine else check_grammar, form)
        messages = request.messages
        if any(isinstance(part, File) for message in messages for part in message.parts):
            manifest = self._manifest(request.model)
            known = readers(manifest)
            require_readable(request, request.model, known)
            messages = told(messages, known)
        files = [part for message in messages for part in message.parts if isinstance(part, File)]
        if files:
            await _require_files(files, known, self._context(manifest))
        # No token is shorter than a byte, so only long messages have to be counted, and that takes a while.
        size = _size(request, messages)
        if engine and (files or size + TEMPLATE_TOKENS > engine.session.capacity):
            await asyncio.to_thread(prompt_of, engine.prompts, request, engine.senses)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """See LanguageModel. Raises QueueFull, Unavailable, and what `edged.engine.generate` raises."""
        validate_request(request)
        job = Job(request=request, engine=await self.resolve(request.model), stream=EventStream())
        self._device.submit(job)
        try:
            while True:
                for event in await job.stream.batch():
                    if isinstance(event, Measured):
                        self.on_measured(event)
                    yield event
                    if isinstance(event, Finished):
                        return
        finally:
            job.cancelled.set()

    def status(self) -> EngineStatus:
        """What the device thread is doing: of the default engine, or the last one used when that is not loaded."""
        seen = self._device.snapshot
        last = seen.loaded[-1] if seen.loaded else None
        engine = next((one for one in seen.loaded if one.name == self._config.default), last)
        device = _where(engine) if engine else "no engine loaded"
        return EngineStatus(
            model=engine.name if engine else self._config.default,
            device=self._device.failure or device,
            context_length=engine.session.capacity if engine else 0,
            active_requests=seen.active,
            queued_requests=seen.waiting,
            max_queued_requests=self._config.max_queued,
            cached_conversations=seen.conversations,
            kv_cache_bytes=seen.kv_cache_bytes,
            kv_cache_limit_bytes=self._config.kv_cache_mb * 1024 * 1024,
            load_seconds=engine.load_seconds if engine else 0.0,
            expert_load=_expert_load(engine) if engine else (),
        )

    def models(self) -> list[ModelInfo]:
        """Installed engines, by name."""
        loaded = {engine.name for engine in self._device.snapshot.loaded}
        return [
            ModelInfo(
                name=engine.name,
                model_type=engine.manifest.model_type,
                parameters=engine.manifest.parameters,
                context_length=self._context(engine.manifest),
                precision=engine.manifest.precision.label,
                disk_bytes=engine.manifest.disk_bytes,
                license=engine.manifest.license,
                is_default=engine.name == self._config.default,
                is_loaded=engine.name in loaded,
                is_demo=engine.manifest.parameters < DEMO_PARAMETERS,
                reads=reads(engine.manifest),
                thinks=engine.manifest.thinks,
                built_at_seconds=engine.manifest.built_at_seconds,
            )
            for engine in installed_engines(self._directories)
        ]

    def last_beat(self) -> float:
        """When the device thread was last seen alive (time.monotonic), for a watchdog."""
        return self._device.last_beat

    def _loaded(self, name: str) -> LoadedEngine | None:
        return next((one for one in self._device.snapshot.loaded if one.name == name), None)

    def _manifest(self, name: str) -> Manifest:
        engine = self._loaded(name)
        return engine.manifest if engine else read_manifest(find_engine(self._directories, name))

    def _context(self, manifest: Manifest) -> int:
        return min(manifest.context_length, self._config.max_seq_len)

    def _load(self, name: str) -> LoadedEngine:
        return load_engine(find_engine(self._directories, name), self._config)


async def _require_files(files: Sequence[Media], known: Mapping[MediaType, Reader], context: int) -> None:
    """Decode what is about to be stored, unless that is more than any prompt can hold: it may take seconds each.

    Raises InvalidInput, ContextOverflow, MissingExtra.
    """
    percepts = await asyncio.to_thread(lambda: [known[type(file)].perceive(file.data) for file in files])
    tokens = sum(len(percept.tokens) for percept in percepts)
    if tokens >= context:
        raise ContextOverflow(f"{_named(files)} need {tokens} tokens, the context holds {context}; send fewer")
    for file in files:
        await asyncio.wrap_future(known[type(file)].begin(file.data))


def _form(request: GenerationRequest, engine: LoadedEngine | None) -> Form | None:
    """What the answer, or a call in it, is held to."""
    if use := callable_tools(request.tool_use):
        form = engine.tool_form if engine else GENERIC
        return CallForm(use=use, form=form, lead=form.lead)
    return request.output


def _size(request: GenerationRequest, messages: Sequence[Message]) -> int:
    """Bytes of what is to be read, files aside; `messages` are the request's, in words where they need be."""
    texts = [text for message in messages for text in texts_of(message.parts)]
    use = callable_tools(request.tool_use)
    texts += [text for tool in (use.tools if use else ()) for text in (tool.description, tool.parameters)]
    return sum(len(text.encode()) for text in (*texts, request.prompt or ""))


def _named(files: Sequence[Media]) -> str:
    kinds = {type(file) for file in files}
    if len(kinds) > 1:
        return "the pictures and recordings"
    return "the pictures" if Image in kinds else "the recordings"


def _where(engine: LoadedEngine) -> str:
    """What computes, and why it is not something better."""
    return f"{engine.session.device}; {engine.remark}" if engine.remark else engine.session.device


def _expert_load(engine: LoadedEngine) -> tuple[tuple[float, ...], ...]:
    """Shares of each layer's choices."""
    load = engine.session.expert_load if isinstance(engine.session, CountsExperts) else None
    if load is None:
        return ()
    return tuple(tuple(float(count / max(layer.sum(), 1e-9)) for count in layer) for layer in load)
