"""A loaded engine: everything one model needs to answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from edged.config import EngineConfig
from edged.engine.chat_template import ChatTemplate
from edged.engine.kv_cache import KvCache
from edged.engine.manifest import Manifest, read_manifest, verify_files
from edged.engine.onnx_session import OnnxMemory, OnnxSession
from edged.engine.prompt import PromptWriter
from edged.engine.session import Memory, Session
from edged.engine.tokenizer import Tokenizer
from edged.errors import ArtefactError


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine(Generic[Memory]):
    """One model in memory; it belongs to the device thread."""

    name: str
    manifest: Manifest
    session: Session[Memory]
    cache: KvCache[Memory]
    tokenizer: Tokenizer
    prompts: PromptWriter
    prefill_chunk: int
    load_seconds: float = 0.0


def load_engine(folder: Path, config: EngineConfig) -> Engine[OnnxMemory]:
    """Check every file's hash, then load. Raises ArtefactError naming the file at fault."""
    began = time.perf_counter()
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    session = OnnxSession(folder, manifest, max_seq_len=config.max_seq_len, threads=config.threads)
    marks = (manifest.tokens.reasoning_open, manifest.tokens.reasoning_close)
    tokenizer = Tokenizer(folder / manifest.tokenizer_file, shown=marks)
    if tokenizer.vocab_size > manifest.vocab_size:
        path = folder / manifest.tokenizer_file
        raise ArtefactError(f"{path}: {tokenizer.vocab_size} tokens, the graph knows {manifest.vocab_size}")
    return Engine(
        name=folder.name,
        manifest=manifest,
        session=session,
        cache=KvCache(
            session,
            bytes_per_token=manifest.kv_bytes_per_token,
            limit_bytes=config.kv_cache_mb * 1024 * 1024 // config.max_loaded,
        ),
        tokenizer=tokenizer,
        prompts=PromptWriter(tokenizer, _template(folder, manifest), context=session.capacity, think_mark=marks[0]),
        prefill_chunk=config.prefill_chunk,
        load_seconds=time.perf_counter() - began,
    )


def _template(folder: Path, manifest: Manifest) -> ChatTemplate:
    path = folder / manifest.chat_template_file
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise ArtefactError(f"{path}: not UTF-8") from exc
    tokens = manifest.tokens
    return ChatTemplate(source, name=str(path), bos_text=tokens.bos_text, eos_text=tokens.eos_text)
