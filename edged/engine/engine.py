"""A loaded engine: everything one model needs to answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from edged.config import EngineConfig
from edged.engine.chat_template import ChatTemplate
from edged.engine.encoder import Encoder, MediaType, Reader, TowerSession
from edged.engine.grammar import GrammarCompiler
from edged.engine.kv_cache import KvCache
from edged.engine.manifest import Manifest, read_manifest, verify_files
from edged.engine.onnx_tower import OnnxTower
from edged.engine.open_session import Opened, open_session
from edged.engine.prompt import PromptWriter
from edged.engine.readers import readers
from edged.engine.session import Memory, Session
from edged.engine.tokenizer import Tokenizer
from edged.engine.tool_form import GENERIC, ToolForm, tool_form
from edged.errors import ArtefactError

KEPT_BYTES = 128 * 1024 * 1024
"""Embeddings of pictures kept for the next turn, and as many of recordings; a screenshot has 51 MB of them in a model
4,096 wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine(Generic[Memory]):
    """One model in memory; it belongs to the device thread."""

    name: str
    manifest: Manifest
    session: Session[Memory]
    cache: KvCache[Memory]
    tokenizer: Tokenizer
    prompts: PromptWriter
    grammars: GrammarCompiler
    prefill_chunk: int
    senses: Mapping[MediaType, Encoder] = field(default_factory=dict)
    """What it reads besides text."""
    tool_form: ToolForm = GENERIC
    """How it writes calls of tools."""
    remark: str = ""
    """See `Opened`."""
    load_seconds: float = 0.0


def load_engine(folder: Path, config: EngineConfig) -> Engine[Any]:
    """Check every file's hash, then load.

    Raises ArtefactError naming the file at fault, DeviceUnavailable when engine.device cannot be had.
    """
    began = time.perf_counter()
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    opened = open_session(folder, manifest, config)
    session = opened.session
    marks = (manifest.tokens.reasoning_open, manifest.tokens.reasoning_close)
    template = _template(folder, manifest)
    form = tool_form(template)
    tokenizer = Tokenizer(folder / manifest.tokenizer_file, shown=(*marks, *form.marks))
    if tokenizer.vocab_size > manifest.vocab_size:
        path = folder / manifest.tokenizer_file
        raise ArtefactError(f"{path}: {tokenizer.vocab_size} tokens, the graph knows {manifest.vocab_size}")
    senses = _senses(folder, manifest, config, opened)
    return Engine(
        name=folder.name,
        manifest=manifest,
        session=session,
        cache=KvCache(
            session,
            bytes_per_token=opened.kv_bytes_per_token,
            limit_bytes=config.kv_cache_mb * 1024 * 1024 // config.max_loaded,
        ),
        tokenizer=tokenizer,
        prompts=PromptWriter(
            tokenizer,
            template,
            context=session.capacity,
            think_mark=marks[0],
            readers=readers(manifest),
            tool_form=form,
        ),
        tool_form=form,
        grammars=GrammarCompiler(tokenizer, vocab_size=manifest.vocab_size, ends=manifest.tokens.eos),
        prefill_chunk=config.prefill_chunk,
        senses=senses,
        remark=opened.remark,
        load_seconds=time.perf_counter() - began,
    )


def _senses(folder: Path, manifest: Manifest, config: EngineConfig, opened: Opened) -> dict[MediaType, Encoder]:
    """Eyes and ears, computing where the first layers do."""

    def tower(media: MediaType, reader: Reader) -> TowerSession:
        if (loaded := opened.towers.get(media)) is not None:
            return loaded
        file = folder / reader.file
        return OnnxTower(file, reader.input_names, threads=config.threads, device=opened.devices[0])

    return {
        media: Encoder(reader, tower(media, reader), limit_bytes=KEPT_BYTES)
        for media, reader in readers(manifest).items()
    }


def _template(folder: Path, manifest: Manifest) -> ChatTemplate:
    path = folder / manifest.chat_template_file
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise ArtefactError(f"{path}: not UTF-8") from exc
    tokens = manifest.tokens
    return ChatTemplate(source, name=str(path), bos_text=tokens.bos_text, eos_text=tokens.eos_text)
