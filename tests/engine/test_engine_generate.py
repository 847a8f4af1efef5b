from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.engine.generate import generate
from edged.errors import ContextOverflow, InvalidInput, UnsupportedPart
from edged.events import (
    ContextTrimmed,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Image,
    Measured,
    Message,
    ReasoningDelta,
    Role,
    Text,
    TextDelta,
    TokenLogprob,
    Usage,
)
from tests.engine.scripted import ScriptedEngine, assistant, request, scripted_engine, system, user


def run(
    engine: ScriptedEngine, asked: GenerationRequest, cancelled: Callable[[], bool] = lambda: False
) -> list[GenerationEvent]:
    steps = generate(engine, asked, arrived=time.perf_counter(), cancelled=cancelled)
    return [event for step in steps for event in step]


def text_of(events: list[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def usage_of(events: list[GenerationEvent]) -> Usage:
    return next(event.usage for event in events if isinstance(event, Measured))


def reason_of(events: list[GenerationEvent]) -> FinishReason:
    assert isinstance(events[-1], Finished)
    return events[-1].finish_reason


def test_answers_until_the_end_token(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "hello Zürich 👩‍👧")
    events = run(engine, request(user("hi")))
    assert text_of(events) == "hello Zürich 👩‍👧"
    assert reason_of(events) is FinishReason.STOP
    assert usage_of(events).completion_tokens == len(engine.tokenizer.encode("hello Zürich 👩‍👧"))


def test_honours_max_tokens(tmp_path: Path) -> None:
    engine, session = scripted_engine(tmp_path, "hello there, how are you")
    events = run(engine, request(user("hi"), max_tokens=3))
    assert usage_of(events).completion_tokens == 3
    assert reason_of(events) is FinishReason.LENGTH
    assert session.decodes == 2


def test_stop_string_across_tokens_is_not_shown(tmp_path: Path) -> None:
    engine, session = scripted_engine(tmp_path, "one two END three")
    events = run(engine, request(user("hi"), stop=("END",)))
    assert text_of(events) == "one two "
    assert reason_of(events) is FinishReason.STOP
    assert session.decodes < len(engine.tokenizer.encode("one two END three"))


def test_a_begun_stop_string_is_shown_when_it_does_not_come(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "one EN")
    assert text_of(run(engine, request(user("hi"), stop=("END",)))) == "one EN"


def test_thinking_is_told_from_the_answer(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>\nhm stop</think>\n\nyes")
    events = run(engine, request(user("hi"), stop=("stop",)))
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "hm stop"
    assert text_of(events) == "yes"


def logprobs_of(events: list[GenerationEvent]) -> list[TokenLogprob]:
    return [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]


def test_every_token_says_how_likely_it_was(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "hello Zürich 👩‍👧")
    events = run(engine, request(user("hi"), logprobs=2))
    tokens = logprobs_of(events)
    assert b"".join(token.data for token in tokens).decode() == text_of(events)
    assert len(tokens) == usage_of(events).completion_tokens
    for token in tokens:
        best, second = token.top
        assert (best.data, best.logprob) == (token.data, token.logprob) and second.logprob < best.logprob <= 0
    assert not logprobs_of(run(engine, request(user("hi"))))
    assert all(not token.top for token in logprobs_of(run(engine, request(user("hi"), logprobs=0))))
    with pytest.raises(InvalidInput, match="logprobs"):
        run(engine, request(user("hi"), logprobs=21))


def test_of_what_is_not_shown_no_probabilities_are_told(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "<think>hm</think>one two END three")
    events = run(engine, request(user("hi"), stop=("END",), logprobs=0))
    told = b"".join(token.data for token in logprobs_of(events)).decode()
    assert text_of(events) == "one two " and told.startswith("one two") and "hm" not in told and "END" not in told
    thought = len(engine.tokenizer.encode("<think>hm</think>"))
    assert usage_of(events).reasoning_tokens == thought < usage_of(events).completion_tokens


def test_a_cut_character_has_its_probability_too(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "👩")
    events = run(engine, request(user("hi"), max_tokens=1, logprobs=0))
    (token,) = logprobs_of(events)
    assert token.data == "👩".encode()[: len(token.data)] and text_of(events) == "\N{REPLACEMENT CHARACTER}"


def test_a_plain_text_goes_on_plainly(tmp_path: Path) -> None:
    engine, session = scripted_engine(tmp_path, "<think>hm</think>yes")
    text = "<|im_start|>user\nhi"
    plain = GenerationRequest(messages=(), prompt=text, sampling=request(user("")).sampling)
    events = run(engine, plain)
    assert text_of(events) == "<think>hm</think>yes" and usage_of(events).reasoning_tokens == 0
    tokens = engine.tokenizer.encode(text)
    assert usage_of(events).prompt_tokens == len(tokens) and session.calls[0] == ("prefill", 0, len(tokens))
    assert engine.tokenizer.control_tokens["<|im_start|>"] == tokens[0]


@pytest.mark.parametrize(("text", "problem"), [("", InvalidInput), ("x " * 600, ContextOverflow)])
def test_a_plain_text_that_is_nothing_or_too_much(tmp_path: Path, text: str, problem: type[Exception]) -> None:
    engine, session = scripted_engine(tmp_path, "ok")
    with pytest.raises(problem) as raised:
        run(engine, GenerationRequest(messages=(), prompt=text))
    assert getattr(raised.value, "field", "") == "prompt" and not session.calls


def test_prefill_in_chunks_yields_control(tmp_path: Path) -> None:
    engine, session = scripted_engine(tmp_path, "ok", chunk=16)
    steps = list(generate(engine, request(user("x" * 40)), arrived=0.0, cancelled=lambda: False))
    prefills = [tokens for kind, _, tokens in session.calls if kind == "prefill"]
    assert prefills[:-1] == [16] * (len(prefills) - 1)
    assert steps[: len(prefills) - 1] == [()] * (len(prefills) - 1)


def test_a_follow_up_turn_prefills_only_what_is_new(tmp_path: Path) -> None:
    engine, session = scripted_engine(tmp_path, "hello you")
    first = run(engine, request(system("Be brief."), user("hi")))
    session.calls.clear()
    second = run(engine, request(system("Be brief."), user("hi"), assistant("hello you"), user("and?")))
    held = usage_of(first).prompt_tokens + usage_of(first).completion_tokens
    assert usage_of(second).cached_tokens == held
    assert session.calls[0] == ("prefill", held, usage_of(second).prompt_tokens - held)


def test_the_same_prompt_again_still_computes_its_last_token(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "a")
    first = usage_of(run(engine, request(user("hi"))))
    assert usage_of(run(engine, request(user("hi")))).cached_tokens == first.prompt_tokens - 1


@pytest.mark.parametrize("after", [1, 2, 5])
def test_cancelling_stops_within_one_token(tmp_path: Path, after: int) -> None:
    engine, session = scripted_engine(tmp_path, "a long answer that nobody wants to hear")
    flag: list[bool] = []
    steps = generate(engine, request(user("hi")), arrived=0.0, cancelled=lambda: bool(flag))
    for _ in range(after):
        next(steps)
    computed = session.decodes
    flag.append(True)
    events = [event for step in steps for event in step]
    assert session.decodes == computed
    assert reason_of(events) is FinishReason.CANCELLED
    assert usage_of(events).completion_tokens == after


def test_cancelling_between_prefill_chunks(tmp_path: Path) -> None:
    engine, session = scripted_engine(tmp_path, "a", chunk=16)
    events = run(engine, request(user("x" * 200)), cancelled=lambda: len(session.calls) >= 2)
    assert len(session.calls) == 2
    assert reason_of(events) is FinishReason.CANCELLED
    assert usage_of(events).completion_tokens == 0
    session.calls.clear()
    assert usage_of(run(engine, request(user("x" * 200)))).cached_tokens == 32, "what was computed is not lost"


def test_oldest_turns_are_dropped_whole_and_the_system_prompt_stays(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "ok", capacity=256)
    history = [turn for index in range(6) for turn in (user(f"{index} " + "x" * 30), assistant("y" * 20))]
    events = run(engine, request(system("S" * 10), *history, user("last"), max_tokens=32))
    assert isinstance(events[0], ContextTrimmed)
    dropped = events[0].dropped_messages
    assert dropped > 0 and dropped % 2 == 0
    kept = engine.prompts.write([system("S" * 10), *history[dropped:], user("last")], enable_thinking=False)
    one_more = engine.prompts.write([system("S" * 10), *history[dropped - 2 :], user("last")], enable_thinking=False)
    assert len(kept.tokens) == usage_of(events).prompt_tokens <= 256 - 32 < len(one_more.tokens)


def test_a_message_that_alone_does_not_fit_is_refused_with_numbers(tmp_path: Path) -> None:
    engine, session = scripted_engine(tmp_path, "ok", capacity=128)
    with pytest.raises(ContextOverflow, match=r"needs \d+ tokens, the context holds 128"):
        run(engine, request(user("before"), assistant("yes"), user("x" * 300)))
    assert session.calls == []


def test_the_answer_ends_where_the_context_ends(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "z" * 300, capacity=128)
    events = run(engine, request(user("x" * 60), max_tokens=1000))
    usage = usage_of(events)
    assert usage.prompt_tokens + usage.completion_tokens == 128
    assert reason_of(events) is FinishReason.LENGTH


def test_a_picture_is_refused_by_a_text_model(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "ok")
    picture = Message(role=Role.USER, parts=(Image(data=b"", media_type="image/png"),))
    with pytest.raises(UnsupportedPart, match="scripted reads text only, not image"):
        run(engine, request(picture))


def test_a_text_model_goes_on_where_another_was_shown_a_picture(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "ok")
    picture = Message(role=Role.USER, parts=(Image(data=b"png", media_type="image/png"), Text(text="Read it.")))
    events = run(engine, request(picture, assistant("42"), user("Twice that?")))
    told = request(user("(a picture that you cannot perceive)\nRead it."), assistant("42"), user("Twice that?"))
    written = engine.prompts.write(told.messages, enable_thinking=False)
    assert usage_of(events).prompt_tokens == len(written.tokens)


def test_logit_bias_of_a_token_that_does_not_exist(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "ok")
    with pytest.raises(InvalidInput, match="token 99999"):
        run(engine, request(user("hi"), logit_bias={99999: 1.0}))


def test_metrics_come_from_the_clock(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path, "abcd")
    ticks = iter(range(1000))
    steps = generate(engine, request(user("hi")), arrived=-10.0, cancelled=lambda: False, clock=lambda: next(ticks))
    measured = next(event for step in steps for event in step if isinstance(event, Measured))
    metrics = measured.metrics
    assert metrics.queue_ms == 10_000
    assert metrics.prompt_tps == measured.usage.prompt_tokens, "one chunk, one second"
    assert metrics.ttft_ms > metrics.queue_ms
    assert metrics.peak_bytes > 1_000_000
