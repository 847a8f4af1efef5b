from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edged.config import EngineConfig
from edged.engine.device import DeviceThread, Job, LoadedEngine
from edged.engine.stream import EventStream, coalesce
from edged.engine.worker import EngineWorker, _expert_load
from edged.errors import ArtefactError, EdgedError, InvalidInput, NotFound, QueueFull, Unavailable
from edged.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Measured,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from tests.engine.scripted import ScriptedSession, request, scripted_engine, user
from tests.tiny_artefact import tiny_artefact

CONFIG = EngineConfig(default="tiny", threads=1)


@contextlib.asynccontextmanager
async def running(folder: Path, **config: object) -> AsyncIterator[EngineWorker]:
    worker = EngineWorker(replace(CONFIG, **config), [folder])  # type: ignore[arg-type]
    await worker.start()
    try:
        yield worker
    finally:
        await worker.close()


async def ask(worker: EngineWorker, asked: GenerationRequest) -> list[GenerationEvent]:
    return [event async for event in worker.generate(asked)]


def text_of(events: list[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def usage_of(events: list[GenerationEvent]) -> Usage:
    return next(event.usage for event in events if isinstance(event, Measured))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # another thread makes it true
            await asyncio.sleep(0.005)


async def test_answers_and_ends_with_measured_and_finished(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    async with running(tmp_path) as worker:
        events = await ask(worker, request(user("hello"), max_tokens=12))
        assert isinstance(events[-2], Measured)
        assert events[-1] == Finished(finish_reason=FinishReason.LENGTH)
        assert usage_of(events).completion_tokens == 12
        assert text_of(events)
        assert worker.status().active_requests == 0
        assert worker.status().cached_conversations == 1
        assert worker.status().kv_cache_bytes > 0
        again = await ask(worker, request(user("hello"), max_tokens=12))
        assert text_of(again) == text_of(events)
        assert usage_of(again).cached_tokens == usage_of(events).prompt_tokens - 1


async def test_interleaved_answers_equal_those_given_alone(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    questions = [request(user(text), max_tokens=40) for text in ("one", "what about two?", "three " * 30)]
    async with running(tmp_path, kv_cache_mb=0, max_active=3, prefill_chunk=16) as worker:
        alone = [text_of(await ask(worker, question)) for question in questions]
        together = await asyncio.gather(*(ask(worker, question) for question in questions))
    assert [text_of(events) for events in together] == alone
    assert len(set(alone)) == 3


async def test_a_seed_samples_the_same_whatever_was_asked_before(tmp_path: Path) -> None:
    """Scores computed in other pieces differ in their last bits, so nothing of another answer is used."""
    tiny_artefact(tmp_path)
    async with running(tmp_path) as worker:
        again = [await ask(worker, request(user("hello" * 9), temperature=1.0, seed=seed)) for seed in (7, 7, 8, 7)]
        assert text_of(again[0]) == text_of(again[1]) == text_of(again[3]) != text_of(again[2])
        assert {usage_of(events).cached_tokens for events in again} == {0}
        assert usage_of(await ask(worker, request(user("hello" * 9)))).cached_tokens > 0


async def test_closing_the_iterator_stops_the_computation(tmp_path: Path) -> None:
    tiny_artefact(tmp_path, slow_ms=3)
    async with running(tmp_path) as worker:
        answer = worker.generate(request(user("hello"), max_tokens=1500))
        await anext(answer)
        await answer.aclose()
        await until(lambda: worker.status().active_requests == 0)
        computed = worker.status().kv_cache_bytes // worker_bytes_per_token(worker)
        assert computed < 400, "it went on computing"
        assert text_of(await ask(worker, request(user("again"), max_tokens=3)))


def worker_bytes_per_token(worker: EngineWorker) -> int:
    return worker._device.snapshot.loaded[0].manifest.kv_bytes_per_token


async def test_cancelling_the_task_stops_the_computation(tmp_path: Path) -> None:
    tiny_artefact(tmp_path, slow_ms=3)
    async with running(tmp_path) as worker:
        task = asyncio.create_task(ask(worker, request(user("hello"), max_tokens=1500)))
        await until(lambda: worker.status().active_requests == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: worker.status().active_requests == 0)


async def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    tiny_artefact(tmp_path, slow_ms=3)
    async with running(tmp_path, max_active=1, max_queued=1) as worker:
        tasks = [asyncio.create_task(ask(worker, request(user("hello"), max_tokens=1000))) for _ in range(2)]
        await until(lambda: (worker.status().active_requests, worker.status().queued_requests) == (1, 1))
        with pytest.raises(QueueFull) as caught:
            await ask(worker, request(user("me too")))
        assert caught.value.retry_seconds
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: worker.status().queued_requests == 0)
        assert await ask(worker, request(user("now"), max_tokens=1))


async def test_bad_requests_are_refused_and_nothing_else_suffers(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    async with running(tmp_path, max_seq_len=128) as worker:
        with pytest.raises(InvalidInput):
            await ask(worker, request(user("hi"), temperature=5.0))
        with pytest.raises(NotFound, match="did you mean"):
            await ask(worker, request(user("hi"), model="tinny"))
        with pytest.raises(InvalidInput, match="logit_bias"):
            await ask(worker, request(user("hi"), logit_bias={10**6: 1.0}))
        assert await ask(worker, request(user("hi"), max_tokens=2))
        assert worker.status().active_requests == 0


async def test_two_engines_with_room_for_one(tmp_path: Path) -> None:
    tiny_artefact(tmp_path, "tiny")
    tiny_artefact(tmp_path, "other", seed=9)
    async with running(tmp_path, max_loaded=1, max_active=2) as worker:
        questions = [request(user("hello"), model=model, max_tokens=20) for model in ("", "other", "tiny", "other")]
        mine, other, again, other_again = await asyncio.gather(*(ask(worker, question) for question in questions))
        assert text_of(mine) == text_of(again) != text_of(other) == text_of(other_again)
        assert [model.name for model in worker.models() if model.is_loaded] == ["other"]
        assert worker.status().model == "other" and worker.status().context_length > 0
        assert [model.name for model in worker.models() if model.is_default] == ["tiny"]
        assert await worker.resolve("") == "tiny"


async def test_the_least_recently_used_engine_is_unloaded(tmp_path: Path) -> None:
    for name in ("tiny", "b", "c"):
        tiny_artefact(tmp_path, name)
    async with running(tmp_path, max_loaded=2) as worker:
        for name in ("b", "tiny", "c"):
            await ask(worker, request(user("hello"), model=name, max_tokens=1))
        assert [model.name for model in worker.models() if model.is_loaded] == ["c", "tiny"]


async def test_a_damaged_default_engine_does_not_start(tmp_path: Path) -> None:
    artefact = tiny_artefact(tmp_path)
    (artefact / "tokenizer.json").write_bytes((artefact / "tokenizer.json").read_bytes().replace(b"t", b"T", 1))
    with pytest.raises(ArtefactError, match=r"tokenizer\.json: SHA-256"):
        async with running(tmp_path):
            pass
    with pytest.raises(NotFound):
        async with running(tmp_path, default="gone"):
            pass


async def test_a_damaged_second_engine_fails_only_its_request(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    other = tiny_artefact(tmp_path, "other")
    async with running(tmp_path) as worker:
        (other / "model.onnx").write_bytes(b"x" * (other / "model.onnx").stat().st_size)
        with pytest.raises(ArtefactError, match=r"model\.onnx: SHA-256"):
            await ask(worker, request(user("hi"), model="other"))
        assert await ask(worker, request(user("hi"), max_tokens=1))


async def test_closing_fails_what_is_under_way_and_refuses_more(tmp_path: Path) -> None:
    tiny_artefact(tmp_path, slow_ms=3)
    async with running(tmp_path) as worker:
        task = asyncio.create_task(ask(worker, request(user("hello"), max_tokens=1500)))
        await until(lambda: worker.status().active_requests == 1)
        await worker.close()
        with pytest.raises(Unavailable, match="shutting down"):
            await task
        with pytest.raises(Unavailable):
            await ask(worker, request(user("hello")))


async def test_the_device_thread_shows_that_it_lives(tmp_path: Path) -> None:
    tiny_artefact(tmp_path)
    async with running(tmp_path) as worker:
        before = worker.last_beat()
        await ask(worker, request(user("hello"), max_tokens=1))
        assert worker.last_beat() > before


@contextlib.contextmanager
def device(load: Callable[[str], object]) -> AsyncIterator[DeviceThread]:
    thread = DeviceThread(load, max_active=2, max_queued=2, max_loaded=1)  # type: ignore[arg-type]
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()


async def collect(stream: EventStream) -> list[GenerationEvent]:
    events: list[GenerationEvent] = []
    while not events or not isinstance(events[-1], Finished):
        events += await stream.batch()
    return events


async def test_a_model_that_breaks_fails_one_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine, session = scripted_engine(tmp_path, "secret words here", fail_after=3)
    with device(lambda name: engine) as thread:
        job = Job(request=request(user("private question")), engine="scripted", stream=EventStream())
        thread.submit(job)
        with pytest.raises(EdgedError, match="failed while answering"):
            await collect(job.stream)
        assert "scripted.py" in caplog.text
        # What an exception says may quote what was asked.
        assert all(word not in caplog.text for word in ("private", "secret", "RuntimeError: "))
        session.fail_after = None
        second = Job(request=request(user("private question")), engine="scripted", stream=EventStream())
        thread.submit(second)
        assert text_of(await collect(second.stream)) == "secret words here"
        assert thread.failure == ""


def test_a_long_load_is_no_hang() -> None:
    loading, go_on = threading.Event(), threading.Event()

    def load(name: str) -> LoadedEngine:
        loading.set()
        assert go_on.wait(20)
        raise MemoryError

    with device(load) as thread:
        loaded = thread.load("huge")
        assert loading.wait(20)
        began = thread.last_beat
        time.sleep(0.01)
        assert thread.last_beat > began
        go_on.set()
        with pytest.raises(MemoryError):
            loaded.result(20)


def test_stopping_leaves_a_thread_that_loads_and_says_so_until_it_has_ended() -> None:
    """Whoever takes the interpreter down has to know even when the load ends just then."""
    loading, go_on = threading.Event(), threading.Event()

    def load(name: str) -> LoadedEngine:
        loading.set()
        assert go_on.wait(20)
        raise NotFound("no such engine")

    thread = DeviceThread(load, max_active=1, max_queued=1, max_loaded=1)
    assert not thread.is_running
    thread.start()
    loaded = thread.load("huge")
    assert loading.wait(20)
    thread.stop()
    assert thread.is_running
    go_on.set()
    assert isinstance(loaded.exception(20), NotFound)
    thread.stop()
    assert not thread.is_running


@pytest.mark.parametrize(
    ("failure", "said"), [(ZeroDivisionError, "failed while answering"), (MemoryError, "no memory is left")]
)
async def test_a_load_that_breaks_fails_one_answer(failure: type[Exception], said: str) -> None:
    def load(name: str) -> LoadedEngine:
        raise failure

    with device(load) as thread:
        job = Job(request=request(user("hi")), engine="any", stream=EventStream())
        thread.submit(job)
        with pytest.raises(EdgedError, match=said):
            await collect(job.stream)
        assert thread.failure == ""
        with pytest.raises(failure):
            await asyncio.wrap_future(thread.load("any"))


async def test_a_broken_thread_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    def load(name: str) -> LoadedEngine:
        raise KeyboardInterrupt

    with device(load) as thread:
        job = Job(request=request(user("hi")), engine="any", stream=EventStream())
        thread.submit(job)
        with pytest.raises(Unavailable, match="the engine has stopped"):
            await collect(job.stream)
        assert "KeyboardInterrupt" in thread.failure
        with pytest.raises(Unavailable):
            thread.submit(Job(request=request(user("hi")), engine="any", stream=EventStream()))
    assert "the device thread broke" in caplog.text


async def test_a_slow_reader_gets_few_large_deltas() -> None:
    stream = EventStream()
    for index in range(100):
        stream.put([TextDelta(text=str(index % 10))])
    stream.put([Finished(finish_reason=FinishReason.STOP)])
    assert await stream.batch() == [
        TextDelta(text="0123456789" * 10),
        Finished(finish_reason=FinishReason.STOP),
    ]


async def test_an_error_comes_after_what_was_said() -> None:
    stream = EventStream()
    stream.put([TextDelta(text="a")])
    stream.fail(Unavailable("gone"))
    assert await stream.batch() == [TextDelta(text="a")]
    with pytest.raises(Unavailable):
        await stream.batch()


def test_only_neighbours_of_a_kind_are_joined() -> None:
    events = [TextDelta(text="a"), ReasoningDelta(text="b"), ReasoningDelta(text="c"), TextDelta(text="d")]
    assert list(coalesce(events)) == [TextDelta(text="a"), ReasoningDelta(text="bc"), TextDelta(text="d")]


def test_a_load_nobody_waits_for_any_more_does_not_break_the_thread() -> None:
    loads: list[str] = []

    def load(name: str) -> LoadedEngine:
        loads.append(name)
        raise NotFound("no such engine")

    thread = DeviceThread(load, max_active=1, max_queued=1, max_loaded=1)
    assert thread.load("given up").cancel()
    kept = thread.load("kept")
    thread.start()
    with pytest.raises(NotFound):
        kept.result(timeout=20)
    thread.stop()
    assert loads == ["kept"]
    assert thread.failure == ""


class CountingSession(ScriptedSession):
    """Of two layers with three experts, of which the second was not asked yet."""

    expert_load = np.array([[1, 3, 0], [0, 0, 0]])


def test_the_load_of_experts_is_told_in_shares(tmp_path: Path) -> None:
    engine, _ = scripted_engine(tmp_path)
    assert _expert_load(engine) == ()
    counting = replace(engine, session=CountingSession(vocab_size=10))
    assert _expert_load(counting) == ((0.25, 0.75, 0.0), (0.0, 0.0, 0.0))
