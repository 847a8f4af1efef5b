"""Conversations by voice over a real connection: what is said and heard, and what survives when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import grpc
import numpy as np
import pytest

from edged.audio.opus import OpusDecoder
from edged.audio.pcm import from_bytes, to_bytes
from edged.client import Client
from edged.errors import Code, EdgedError, InvalidInput, NotFound
from edged.events import Finished, MessageState, Started, TextDelta
from edged.records import OPERATOR
from edged.server import converse, kept_session
from edged.v1 import assistant_pb2, assistant_pb2_grpc, voice_pb2
from edged.voice_events import (
    AudioEncoding,
    Button,
    FinalTranscript,
    Interrupted,
    Opening,
    SpokenAudio,
    SpokenInput,
    StateChanged,
    Stop,
    VoiceEvent,
    VoiceMode,
    VoiceState,
    WakeDetected,
)
from tests.pipeline.stages import EvenVoice, silence, speech, wake
from tests.server.conversing import OPEN, QUESTION, Daemon, Proxy, all_of, say, states
from tests.server.scripted import END, WAIT, says, until


@pytest.fixture
async def daemon(run_dir: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(run_dir / "s")
    await daemon.server.start(daemon.socket)
    daemon.server.serve()
    yield daemon
    await daemon.server.drain(1)


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[Client]:
    async with Client(f"unix:{daemon.socket}") as client:
        yield client


async def test_a_file_of_speech_is_answered_in_words_and_sound(client: Client, daemon: Daemon) -> None:
    call = client.converse(OPEN)
    await say(call, *QUESTION)
    await call.finish()
    events = await all_of(call)
    assert FinalTranscript(text="What is the capital of France?") in events
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Paris."
    sounds = [event for event in events if isinstance(event, SpokenAudio)]
    assert sum(len(event.data) for event in sounds) == 2 * len("Paris.") * EvenVoice.sample_rate // 10
    assert call.sample_rate == EvenVoice.sample_rate
    assert daemon.memory.closings[0].state is MessageState.COMPLETE


async def test_the_wake_phrase_begins(client: Client) -> None:
    call = client.converse(Opening(mode=VoiceMode.WAKE_WORD))
    await say(call, *QUESTION, wake(), *QUESTION)
    await call.finish()
    events = await all_of(call)
    assert events[0] == WakeDetected(phrase="okay_nabu")
    assert sum(isinstance(event, FinalTranscript) for event in events) == 1


async def test_push_to_talk_takes_all_sound_before_the_release(client: Client, daemon: Daemon) -> None:
    call = client.converse(Opening(mode=VoiceMode.PUSH_TO_TALK))
    await call.send(Button(is_pressed=True))
    await say(call, speech(1.0))
    await call.send(Button(is_pressed=False))
    await call.finish()
    events = await all_of(call)
    assert states(events)[:2] == [VoiceState.LISTENING, VoiceState.THINKING]
    assert daemon.composer.speech.seconds == [pytest.approx(1.0, abs=0.02)]


async def test_speaking_interrupts_where_echo_is_cancelled(client: Client, daemon: Daemon) -> None:
    daemon.model.script = says("A very long answer that goes on and on. " * 5)
    call = client.converse(Opening(mode=VoiceMode.OPEN, is_echo_cancelled=True))
    await say(call, *QUESTION)
    seen: list[VoiceEvent] = []
    async with aclosing(call.events()) as events:
        async for event in events:
            seen.append(event)
            if isinstance(event, StateChanged) and event.state is VoiceState.SPEAKING:
                await asyncio.sleep(0.6)
                await say(call, silence(0.1), speech(0.4))
            if isinstance(event, Interrupted):
                break
    assert "A very long answer".startswith(seen[-1].heard) and len(seen[-1].heard) < 10  # type: ignore[union-attr]
    await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    assert daemon.memory.closings[0].text == seen[-1].heard  # type: ignore[union-attr]


async def test_stop_by_the_client(client: Client, daemon: Daemon) -> None:
    daemon.model.script = [TextDelta(text="Once upon a time. There "), WAIT, *END]
    call = client.converse(OPEN)
    await say(call, *QUESTION)
    async with aclosing(call.events()) as events:
        async for event in events:
            if isinstance(event, StateChanged) and event.state is VoiceState.SPEAKING:
                await call.send(Stop())
            if isinstance(event, Interrupted):
                break
    await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED


async def test_two_clients_speak_at_once(client: Client, daemon: Daemon) -> None:
    first, second = client.converse(OPEN), client.converse(OPEN)
    await asyncio.gather(say(first, *QUESTION), say(second, *QUESTION))
    await asyncio.gather(first.finish(), second.finish())
    for events in await asyncio.gather(all_of(first), all_of(second)):
        assert sum(isinstance(event, Finished) for event in events) == 1
    assert len({closing.answer_message_id for closing in daemon.memory.closings}) == 2


async def test_a_connection_that_breaks_is_taken_up_where_it_was(daemon: Daemon, run_dir: Path) -> None:
    """Through a proxy that is cut in the middle of an utterance and of an answer."""
    async with Proxy(run_dir / "proxy", daemon.socket) as proxy, Client(f"unix:{proxy.path}") as client:
        call = client.converse(OPEN)
        seen: list[VoiceEvent] = []

        async def read() -> None:
            async with aclosing(call.events()) as events:
                async for event in events:
                    seen.append(event)  # noqa: PERF401

        reading = asyncio.create_task(read())
        await say(call, silence(0.3), speech(0.6))
        await until(lambda: seen)
        daemon.model.script = [TextDelta(text="Paris "), WAIT, TextDelta(text="it is."), *END]
        proxy.cut()
        await say(call, silence(0.8))
        await until(lambda: TextDelta(text="Paris ") in seen)
        proxy.cut()
        daemon.model.release.set()
        await call.finish()
        await asyncio.wait_for(reading, 20)
    assert len(daemon.composer.sessions) == 1
    assert sum(isinstance(event, Started) for event in seen) == 1
    assert "".join(event.text for event in seen if isinstance(event, TextDelta)) == "Paris it is."
    assert daemon.composer.speech.seconds == [pytest.approx(1.2, abs=0.25)]  # no sound was lost or came twice
    assert proxy.connections >= 3


async def test_who_does_not_come_back_is_forgotten(
    client: Client, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_session, "AWAY_SECONDS", 0.2)
    call = client.converse(OPEN)
    await say(call, silence(0.3), speech(0.6))
    async with aclosing(call.events()) as events:
        async for _ in events:
            break
    calls = daemon.server.voice_calls
    assert calls is not None and len(calls._sessions) == 1
    await until(lambda: not calls._sessions)
    assert daemon.memory.opened == 0


async def test_sessions_are_limited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converse, "MAX_SESSIONS", 1)
    first, second = client.converse(OPEN), client.converse(OPEN)
    async with aclosing(first.events()) as events:
        await say(first, silence(0.1))
        await anext(events)
        with pytest.raises(EdgedError, match="open; try again") as raised:
            await all_of(second)
    assert raised.value.code is Code.RESOURCE_EXHAUSTED


async def test_opus_is_heard(client: Client, daemon: Daemon) -> None:
    call = client.converse(Opening(mode=VoiceMode.PUSH_TO_TALK, encoding=AudioEncoding.OPUS))
    await call.send(Button(is_pressed=True))
    for packet in opus_packets(1.0):
        await call.send(SpokenInput(data=packet))
    await call.send(Button(is_pressed=False))
    await call.finish()
    await all_of(call)
    assert daemon.composer.speech.seconds == [pytest.approx(1.0, abs=0.05)]


def opus_packets(seconds: float) -> list[bytes]:
    import av

    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(int(48_000 * seconds)) / 48_000)).astype(np.int16)
    packets = []
    for start in range(0, len(tone), 960):
        frame = av.AudioFrame.from_ndarray(tone[None, start : start + 960], format="s16", layout="mono")
        frame.sample_rate = 48_000
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets + [bytes(packet) for packet in encoder.encode(None)]


def test_opus_keeps_pitch_and_length() -> None:
    decode = OpusDecoder()
    sound = np.concatenate([decode(packet) for packet in opus_packets(1.0)])
    assert len(sound) == pytest.approx(16_000, rel=0.03)
    spectrum = np.abs(np.fft.rfft(sound[4000:12_000]))
    assert np.argmax(spectrum) / 8000 * 16_000 == pytest.approx(440, abs=3)


@pytest.mark.parametrize("data", [b"", bytes(70_000), b"\xff" * 100])
def test_what_is_no_opus_is_refused_or_silent(data: bytes) -> None:
    decode = OpusDecoder()
    try:
        assert len(decode(data)) <= 16_000
    except InvalidInput as exc:
        assert exc.field == "audio.data"


Request = assistant_pb2.ConverseRequest
GOOD_OPEN = Request(open=voice_pb2.OpenConversation(mode=2, encoding=1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([], "INVALID_ARGUMENT"),
        ([Request()], "INVALID_ARGUMENT"),
        ([Request(audio=voice_pb2.SpokenInput(data=b"ab"))], "INVALID_ARGUMENT"),
        ([Request(open=voice_pb2.OpenConversation())], "INVALID_ARGUMENT"),
        ([Request(open=voice_pb2.OpenConversation(mode=2))], "INVALID_ARGUMENT"),  # type: ignore[arg-type]
        ([Request(open=voice_pb2.OpenConversation(session_id="none"))], "NOT_FOUND"),
        ([GOOD_OPEN, GOOD_OPEN], "INVALID_ARGUMENT"),
        ([GOOD_OPEN, Request()], "INVALID_ARGUMENT"),
        ([GOOD_OPEN, Request(audio=voice_pb2.SpokenInput(data=bytes(32_002)))], "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_no_conversation_is_refused(daemon: Daemon, requests: list[Request], code: str) -> None:
    async with grpc.aio.insecure_channel(f"unix:{daemon.socket}") as channel:
        stub = assistant_pb2_grpc.AssistantServiceStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for _ in stub.Converse(iter(requests)):
                pass
    assert raised.value.code().name == code
    calls = daemon.server.voice_calls
    assert calls is not None
    await until(lambda: not calls._sessions)


async def test_what_the_composer_raises_reaches_the_client(client: Client, daemon: Daemon) -> None:
    daemon.composer.failure = NotFound("no wake word", resource=("wake word", "x"))
    with pytest.raises(EdgedError, match="no wake word"):
        await all_of(client.converse(OPEN))


async def test_the_end_of_the_daemon_ends_the_conversation(client: Client, daemon: Daemon) -> None:
    call = client.converse(OPEN)
    await say(call, silence(0.3), speech(0.3))
    async with aclosing(call.events()) as events:
        await anext(events)
        began = asyncio.get_running_loop().time()
        await daemon.server.drain(30)
        assert asyncio.get_running_loop().time() - began < 10


async def test_who_does_not_open_is_let_go(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converse, "OPENING_SECONDS", 0.1)
    async with grpc.aio.insecure_channel(f"unix:{daemon.socket}") as channel:
        call = assistant_pb2_grpc.AssistantServiceStub(channel).Converse()  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
    assert raised.value.code().name == "INVALID_ARGUMENT"


async def test_the_last_words_of_a_session_wait_for_who_comes_back(daemon: Daemon) -> None:
    async with grpc.aio.insecure_channel(f"unix:{daemon.socket}") as channel:
        stub = assistant_pb2_grpc.AssistantServiceStub(channel)  # type: ignore[no-untyped-call]
        call = stub.Converse()
        await call.write(GOOD_OPEN)
        opened = await call.read()
        for piece in [*(to_bytes(sound) for sound in QUESTION)]:
            for start in range(0, len(piece), 3200):
                await call.write(Request(audio=voice_pb2.SpokenInput(data=piece[start : start + 3200])))
        await call.write(Request(end_of_speech=voice_pb2.EndOfSpeech()))
        seen = [await call.read() for _ in range(3)]
        calls = daemon.server.voice_calls
        assert calls is not None
        (session,) = calls._sessions.values()
        sent = sum(-(-2 * len(sound) // 3200) for sound in QUESTION) + 1
        await until(lambda: session.taken == sent)  # what is on its way when a connection breaks is sent again
        call.cancel()
        await until(lambda: daemon.memory.closings)
        await asyncio.sleep(1.0)
        again = voice_pb2.OpenConversation(session_id=opened.opened.session_id, last_sequence=seen[-1].sequence)
        rest = [response async for response in stub.Converse(iter([Request(open=again)]))]
    assert [response.sequence for response in rest[1:]] == list(range(4, 4 + len(rest) - 1))
    assert rest[-1].event.WhichOneof("event") in ("finished", "state_changed")
    assert calls._sessions == {}


async def test_a_wrong_number_costs_nobody_the_session(client: Client, daemon: Daemon) -> None:
    call = client.converse(OPEN)
    await say(call, silence(0.3), speech(0.3))
    async with aclosing(call.events()) as events:
        await anext(events)
        async with grpc.aio.insecure_channel(f"unix:{daemon.socket}") as channel:
            stub = assistant_pb2_grpc.AssistantServiceStub(channel)  # type: ignore[no-untyped-call]
            wrong = voice_pb2.OpenConversation(session_id=call._session_id, last_sequence=999)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Converse(iter([Request(open=wrong)])).read()
        await say(call, speech(0.3), silence(0.8))
        await call.finish()
        assert any([isinstance(event, Finished) async for event in events])


async def test_who_is_there_takes_the_place_of_who_has_left(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converse, "MAX_SESSIONS", 2)
    for _ in range(5):
        call = client.converse(OPEN)
        await say(call, silence(0.1))
        async with aclosing(call.events()) as events:
            await anext(events)


async def test_a_client_that_fidgets_costs_little(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_session, "KEPT_BYTES", 100_000)
    session = kept_session.KeptSession(from_bytes, "", OPERATOR)
    for _ in range(10_000):
        session.emit(StateChanged(state=VoiceState.LISTENING))
    assert len(session._kept) < 100
    with pytest.raises(NotFound):
        await anext(aiter(session.responses(5)))
    last = session.responses(9_999)
    assert (await anext(aiter(last))).sequence == 10_000
