"""Answers of a form that was asked for, by models whose scores would have it otherwise."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models

from edged.config import EngineConfig
from edged.engine.device import LoadedEngine
from edged.engine.engine import load_engine
from edged.engine.grammar import GrammarCompiler
from edged.engine.tokenizer import Detokenizer, Tokenizer
from edged.engine.worker import EngineWorker
from edged.errors import InvalidInput
from edged.events import FinishReason, GenerationRequest, OutputFormat, OutputKind, Sampling, TextDelta
from tests.engine.constrained import answer, choices, events_of, lark, regex, schema
from tests.engine.scripted import user
from tests.tiny_artefact import SPECIALS, tiny_artefact

PERSON = schema(
    json.dumps(
        {
            "type": "object",
            "properties": {"name": {"enum": ["Zoë", "李雷"]}, "age": {"type": "integer", "maximum": 99, "minimum": 0}},
            "required": ["name", "age"],
            "additionalProperties": False,
        }
    )
)
GREEDY = Sampling(temperature=0.0, max_tokens=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    tiny_artefact(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(folder: Path) -> LoadedEngine:
    return load_engine(folder / "tiny", EngineConfig(threads=1))


@pytest.mark.parametrize("seed", range(8))
def test_a_regular_expression_holds_from_end_to_end(tiny: LoadedEngine, seed: int) -> None:
    pattern = r"[A-Z]{2}-\d{3}(, (yes|no|ü|中)){2}"
    text, reason = answer(tiny, regex(pattern), Sampling(temperature=2.0, top_p=1.0, seed=seed))
    assert reason is FinishReason.STOP
    assert re.fullmatch(pattern, text)


@pytest.mark.parametrize("pattern", [r"\d\D", r"[\d.]\D", r"[]\d]\D", r"[[:punct:]\d]\D"])
def test_digits_are_those_that_programs_read(tiny: LoadedEngine, pattern: str) -> None:
    for text, is_allowed in (("3a", True), ("٣a", False), ("３a", False), ("34", False), ("3中", True)):
        assert tiny.grammars.begin(regex(pattern)).push_text(text) == is_allowed
    assert tiny.grammars.begin(regex(r"\\d")).push_text(r"\d")


@pytest.mark.parametrize("seed", range(8))
def test_a_lark_grammar(tiny: LoadedEngine, seed: int) -> None:
    grammar = lark('start: sum "=" NUMBER\nsum: NUMBER ("+" NUMBER){1,3}\nNUMBER: /[1-9][0-9]?/')
    text, reason = answer(tiny, grammar, Sampling(temperature=2.0, top_p=1.0, seed=seed))
    assert re.fullmatch(r"[1-9]\d?(\+[1-9]\d?){1,3}=[1-9]\d?", text)
    # After the last number's first digit a second one may follow: the model has to end the answer by itself.
    assert reason in (FinishReason.STOP, FinishReason.LENGTH)


def test_choices_with_beginnings_in_common(tiny: LoadedEngine) -> None:
    texts = (
        "a",
        "ab",
        "abc",
        "a b",
        'quote " and \\',
        "中文",
        "中国",
        "line\nbreak",
        "<|im_end|>",
        "<think>no</think>",
    )
    said = {answer(tiny, choices(*texts), Sampling(temperature=2.0, top_p=1.0, seed=seed)) for seed in range(60)}
    assert {text for text, _ in said} <= set(texts)
    assert len(said) > 4
    assert all(answer(tiny, choices(text), GREEDY) == (text, FinishReason.STOP) for text in texts)


def test_any_json_object(tiny: LoadedEngine) -> None:
    bias = {tiny.tokenizer.encode(text)[0]: 6.0 for text in '"}]'}
    sampling = Sampling(temperature=1.0, seed=3, max_tokens=300, logit_bias=bias)
    text, reason = answer(tiny, OutputFormat(kind=OutputKind.JSON), sampling)
    assert reason is FinishReason.STOP
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 1},
        {"top_k": 3, "top_p": 0.1},
        {"min_p": 0.9},
        {"repetition_penalty": 10.0, "frequency_penalty": 2.0, "presence_penalty": 2.0},
        {"repetition_penalty": 0.01, "frequency_penalty": -2.0},
        {"logit_bias": dict.fromkeys(range(200), -100.0)},
        {"logit_bias": dict.fromkeys(range(0, 270, 7), 100.0)},
    ],
)
def test_no_way_to_sample_leaves_the_form(tiny: LoadedEngine, options: dict[str, object]) -> None:
    for seed in range(5):
        sampling = replace(Sampling(temperature=2.0, top_p=1.0, seed=seed), **options)  # type: ignore[arg-type]
        text, reason = answer(tiny, PERSON, sampling)
        assert reason is FinishReason.STOP
        value = json.loads(text)
        assert value["name"] in ("Zoë", "李雷")
        assert 0 <= value["age"] <= 99


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_asked_of_one_token_is_what_is_known_of_all(tiny: LoadedEngine, seed: int) -> None:
    """Where a text has to come, all but the tokens that the model would write it in are ruled out, though they fit."""
    random = np.random.default_rng(seed)
    constraint = tiny.grammars.begin(lark('start: ("a" | /[th]{2,9}e/ | "<think>" | "中")+ "!"?'))
    for _ in range(12):
        allowed = constraint.allowed()
        single = np.array([constraint.allows(token) for token in range(len(allowed))])
        assert not (allowed & ~single).any()
        assert allowed.sum() == 1 or (allowed == single).all()
        allowed[list(tiny.manifest.tokens.eos)] = False
        constraint.push(int(random.choice(np.flatnonzero(allowed))))
        if constraint.is_complete:
            return


def test_the_same_seed_says_the_same(tiny: LoadedEngine) -> None:
    sampling = Sampling(temperature=2.0, seed=5)
    assert answer(tiny, PERSON, sampling) == answer(tiny, PERSON, sampling)


def test_what_max_tokens_cuts_off_is_the_beginning_of_what_was_asked_for(tiny: LoadedEngine) -> None:
    whole, _ = answer(tiny, PERSON, GREEDY)
    for limit in range(1, 12):
        text, reason = answer(tiny, PERSON, replace(GREEDY, max_tokens=limit))
        assert reason is FinishReason.LENGTH
        assert whole.startswith(text.rstrip("\ufffd"))


def test_a_stop_string_ends_the_answer_early(tiny: LoadedEngine) -> None:
    whole, _ = answer(tiny, PERSON, GREEDY)
    text, reason = answer(tiny, PERSON, replace(GREEDY, stop=('"age',)))
    assert reason is FinishReason.STOP
    assert text == whole[: whole.index('"age')]


def test_a_complete_answer_ends_at_once(tiny: LoadedEngine) -> None:
    """The tiny model never ends an answer by itself."""
    events = events_of(tiny, choices("yes"), GREEDY)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "yes"
    assert answer(tiny, choices("yes"), replace(GREEDY, max_tokens=3)) == ("yes", FinishReason.STOP)


@pytest.mark.parametrize("name", SPECIALS)
def test_control_tokens_are_never_said(tiny: LoadedEngine, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"output\.lark cannot be followed: this model has no tokens"):
        tiny.grammars.prepare(lark(f"start: {name}"))
    token = tiny.tokenizer.control_tokens[name]
    with pytest.raises(InvalidInput, match="no tokens"):
        tiny.grammars.prepare(lark(f"start: <[{token}]>"))
    assert answer(tiny, lark(f'start: <[{token}]> | "ok"'), GREEDY) == ("ok", FinishReason.STOP)


def test_what_looks_like_thinking_in_an_answer_is_the_answer(tiny: LoadedEngine) -> None:
    text = '{"a": "<think>hm</think>"}'
    assert answer(tiny, choices(text), GREEDY) == (text, FinishReason.STOP)


async def test_answers_with_and_without_forms_at_the_same_time(folder: Path) -> None:
    forms = [PERSON, None, choices("left", "right"), None, PERSON, regex("[0-9]{40}")]
    worker = EngineWorker(EngineConfig(default="tiny", threads=1, max_active=4, kv_cache_mb=0), [folder])
    await worker.start()

    async def ask(index: int, output: OutputFormat | None) -> tuple[list[str], FinishReason]:
        request = GenerationRequest(
            messages=(user(f"Question {index}"),), sampling=replace(GREEDY, max_tokens=60), output=output
        )
        await worker.check(replace(request, model="tiny"))
        events = [event async for event in worker.generate(request)]
        return [event.text for event in events if isinstance(event, TextDelta)], events[-1].finish_reason  # type: ignore[union-attr]

    try:
        alone = [await ask(index, output) for index, output in enumerate(forms)]
        together = await asyncio.gather(*(ask(index, output) for index, output in enumerate(forms)))
    finally:
        await worker.close()
    said = ["".join(pieces) for pieces, _ in together]
    assert said == ["".join(pieces) for pieces, _ in alone]
    assert json.loads(said[0])["name"] in ("Zoë", "李雷")
    assert said[2] in ("left", "right")
    assert re.fullmatch("[0-9]{40}", said[5])
    assert [reason for _, reason in together].count(FinishReason.LENGTH) == 2


async def test_what_cannot_be_is_refused_before_anything_is_computed(folder: Path) -> None:
    tiny_artefact(folder, "other")
    worker = EngineWorker(EngineConfig(default="tiny", threads=1), [folder])
    await worker.start()
    try:
        for model in ("tiny", "other"):  # in memory, and not
            request = GenerationRequest(messages=(user("Hi"),), model=model, output=regex("a(b"))
            with pytest.raises(InvalidInput, match=r"^output\.regex cannot be followed: unclosed group$") as caught:
                await worker.check(request)
            assert caught.value.field == "output.regex"
    finally:
        await worker.close()


def test_a_model_without_the_letters_says_so(tmp_path: Path) -> None:
    """A vocabulary need not spell every byte."""
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2, "</s>": 3}, merges=[("a", "b")]))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    compiler = GrammarCompiler(Tokenizer(tmp_path / "tokenizer.json"), vocab_size=6, ends=(3,))
    allowed = compiler.begin(regex("(ab)*")).allowed()
    assert allowed.tolist() == [True, False, True, True, False, False], "what the graph has beyond the tokenizer, too"
    with pytest.raises(InvalidInput, match=r"output\.choices cannot be followed"):
        compiler.prepare(choices("xyz"))
    constraint = compiler.begin(choices("abc"))
    constraint.push(2)
    with pytest.raises(InvalidInput, match="cannot be followed"):
        constraint.allowed()


WORDS = ("<unk>", "▁", "▁{", "▁a", "lo", "▁▁", *(f"<0x{byte:02X}>" for byte in range(256)))


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """As of Llama 2, whose texts all begin with a space that is not there."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    vocab = {word: index for index, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True))
    tokenizer.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.save(str(path))
    return Tokenizer(path)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), texts=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4))
def test_spaces_at_the_beginning_are_kept(sentencepiece: Tokenizer, seed: int, texts: list[str]) -> None:
    """Whatever is drawn among what is allowed, its text is one that was asked for."""
    random = np.random.default_rng(seed)
    constraint = GrammarCompiler(sentencepiece, vocab_size=len(WORDS), ends=(0,)).begin(choices(*texts))
    detokenizer = Detokenizer(sentencepiece, is_literal=True)
    said = ""
    while not constraint.is_complete:
        token = int(random.choice(np.flatnonzero(constraint.allowed())))
        if token == 0:
            break
        constraint.push(token)
        said += detokenizer.push(token)
    assert said + detokenizer.flush() in texts
