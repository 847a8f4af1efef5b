"""An engine whose model is a script: it says given texts, counts calls, and fails on demand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edged.config import EngineConfig
from edged.engine.chat_template import ChatTemplate
from edged.engine.engine import Engine, load_engine
from edged.engine.kv_cache import KvCache
from edged.engine.prompt import PromptWriter
from edged.engine.session import Logits, Sight
from edged.events import GenerationRequest, Message, Role, Sampling, Text
from tests.tiny_artefact import CHATML, tiny_artefact

BYTES_PER_TOKEN = 100


@dataclass
class ScriptedSession:
    """Says the script's tokens in order, then the end token for ever."""

    vocab_size: int
    script: Sequence[int] = ()
    end: int = 0
    capacity: int = 512
    fail_after: int | None = None
    """Decode calls that succeed before one raises."""
    device: str = "script"
    calls: list[tuple[str, int, int]] = field(default_factory=list)
    """(prefill | decode | copy, position, tokens)."""
    said: int = 0

    def allocate(self) -> dict[int, int]:
        return {}

    def committed_positions(self, tokens: int) -> int:
        return tokens

    def copy_prefix(self, source: dict[int, int], target: dict[int, int], length: int) -> None:
        self.calls.append(("copy", 0, length))
        target.update({place: source[place] for place in range(length)})

    def prefill(
        self,
        memory: dict[int, int],
        position: int,
        tokens: Sequence[int],
        logits_index: Sequence[int] = (-1,),
        sight: Sight | None = None,
    ) -> Logits:
        self.calls.append(("prefill", position, len(tokens)))
        self._write(memory, position, tokens)
        self.said = 0
        return self._scores()[None]

    def decode(self, memory: dict[int, int], position: int, token: int, shift: int = 0) -> Logits:
        self.calls.append(("decode", position, 1))
        if self.fail_after is not None and self.decodes > self.fail_after:
            raise RuntimeError("the model broke")
        self._write(memory, position, [token])
        return self._scores()

    @property
    def decodes(self) -> int:
        return sum(kind == "decode" for kind, *_ in self.calls)

    def _write(self, memory: dict[int, int], position: int, tokens: Sequence[int]) -> None:
        assert all(place in memory for place in range(position)), "a position was skipped"
        memory.update({position + index: token for index, token in enumerate(tokens)})

    def _scores(self) -> Logits:
        token = self.script[self.said] if self.said < len(self.script) else self.end
        self.said += 1
        scores = np.zeros(self.vocab_size, dtype=np.float32)
        scores[token] = 10
        return scores


ScriptedEngine = Engine[dict[int, int]]


def scripted_engine(
    folder: Path,
    says: str = "",
    *,
    name: str = "scripted",
    kv_limit_bytes: int = 10**6,
    chunk: int = 64,
    **session: object,
) -> tuple[ScriptedEngine, ScriptedSession]:
    """An engine with the tiny tokenizer and ChatML that answers `says`."""
    real = load_engine(tiny_artefact(folder, name), EngineConfig())
    scripted = ScriptedSession(
        vocab_size=real.manifest.vocab_size,
        script=real.tokenizer.encode(says),
        end=real.manifest.tokens.eos[0],
        **session,  # type: ignore[arg-type]
    )
    engine = Engine(
        name=name,
        manifest=real.manifest,
        session=scripted,
        cache=KvCache(scripted, bytes_per_token=BYTES_PER_TOKEN, limit_bytes=kv_limit_bytes),
        tokenizer=real.tokenizer,
        grammars=real.grammars,
        prompts=PromptWriter(
            real.tokenizer,
            ChatTemplate(CHATML, name="chatml"),
            context=scripted.capacity,
            think_mark=real.manifest.tokens.reasoning_open,
        ),
        prefill_chunk=chunk,
    )
    return engine, scripted


def user(text: str) -> Message:
    return Message(role=Role.USER, parts=(Text(text=text),))


def assistant(text: str) -> Message:
    return Message(role=Role.ASSISTANT, parts=(Text(text=text),))


def system(text: str) -> Message:
    return Message(role=Role.SYSTEM, parts=(Text(text=text),))


def request(*messages: Message, model: str = "", **sampling: object) -> GenerationRequest:
    """Greedy unless told otherwise."""
    chosen = dataclasses.replace(Sampling(temperature=0.0, max_tokens=64), **sampling)  # type: ignore[arg-type]
    return GenerationRequest(messages=messages, sampling=chosen, model=model)
