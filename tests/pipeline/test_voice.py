"""Conversations by voice: every state, every way out of it, and what is kept of what was said."""

from __future__ import annotations

import asyncio

import pytest

from edged.errors import MissingExtra, QueueFull
from edged.events import Audio, Finished, FinishReason, MessageState, Started, TextDelta
from edged.pipeline.vad import Endpointing
from edged.pipeline.voice_parts import VoiceSettings
from edged.records import OPERATOR
from edged.voice_events import (
    FinalTranscript,
    Interrupted,
    PartialTranscript,
    Speaking,
    SpeechBegan,
    SpeechEnded,
    StateChanged,
    TurnFailed,
    TurnTimings,
    VoiceState,
    VolumeChanged,
)
from tests.pipeline.stages import Talk, settle, silence, speech, wake
from tests.server.scripted import END, WAIT, says, until

BUTTON = VoiceSettings(reader=OPERATOR, has_button=True, partial_seconds=0)
QUESTION = (silence(0.3), speech(1.0), silence(0.7))


def names(talk: Talk) -> list[str]:
    return [type(event).__name__ for event in talk.events]


async def test_a_question_in_the_order_in_which_it_is_heard_and_answered() -> None:
    async with Talk() as talk:
        await talk.hears(silence(0.5), wake(), *QUESTION)
        told = [name for name in names(talk) if name != "StateChanged"]
        assert told[:5] == ["WakeDetected", "SpeechBegan", "PartialTranscript", "SpeechEnded", "FinalTranscript"]
        assert told[5:7] == ["Started", "TextDelta"]
        assert sorted(told[7:-1]) == ["Measured", "Speaking", "TextDelta", "TurnTimings"]
        assert told[-1] == "Finished"
        states = [event.state for event in talk.events if isinstance(event, StateChanged)]
        assert states == [VoiceState.LISTENING, VoiceState.THINKING, VoiceState.SPEAKING, VoiceState.LISTENING]
        assert talk.of(FinalTranscript) == [FinalTranscript(text="What is the capital of France?")]
        assert talk.voice.said == ["Paris."]
        (closing,) = talk.memory.closings
        assert (closing.text, closing.state) == ("Paris.", MessageState.COMPLETE)


async def test_without_the_wake_phrase_nothing_is_heard() -> None:
    async with Talk() as talk:
        await talk.hears(*QUESTION)
        assert talk.events == []
        assert talk.speech.seconds == []


async def test_without_wake_words_whoever_speaks_is_meant() -> None:
    async with Talk(has_wake_word=False) as talk:
        await talk.hears(silence(20), *QUESTION, *QUESTION)
        assert len(talk.of(FinalTranscript)) == 2
        assert len(talk.memory.closings) == 2


async def test_what_was_said_is_written_down_once_at_the_first_pause() -> None:
    async with Talk() as talk:
        await talk.hears(wake(), *QUESTION)
        assert len(talk.speech.seconds) == 1
        assert talk.speech.seconds[0] == pytest.approx(1.6, abs=0.2)


async def test_who_goes_on_after_a_pause_is_written_down_whole() -> None:
    async with Talk() as talk:
        talk.speech.texts = ["What is", "What is the capital?"]
        await talk.hears(wake(), speech(0.5), silence(0.3), speech(0.5), silence(0.8))
        assert talk.of(FinalTranscript) == [FinalTranscript(text="What is the capital?")]
        assert len(talk.speech.seconds) == 2


async def test_partial_transcripts_while_somebody_speaks() -> None:
    async with Talk(settings=VoiceSettings(reader=OPERATOR, partial_seconds=1.0)) as talk:
        talk.speech.texts = ["One", "One two", "One two three", "One two three four"]
        await talk.hears(wake(), speech(1.2))
        await talk.hears(speech(1.0))
        await talk.hears(speech(1.0), silence(1.3))
        assert [event.text for event in talk.of(PartialTranscript)][:3] == ["One", "One two", "One two three"]  # type: ignore[union-attr]
        assert talk.of(FinalTranscript) == [FinalTranscript(text="One two three four")]


async def test_a_follow_up_needs_no_wake_phrase_until_it_does() -> None:
    async with Talk() as talk:
        await talk.hears(wake(), *QUESTION, *QUESTION)
        assert len(talk.memory.closings) == 2
        assert talk.of(Started)[0].conversation_id == talk.of(Started)[1].conversation_id  # type: ignore[union-attr]
        await talk.hears(silence(9))
        assert talk.session.state is VoiceState.WAITING
        await talk.hears(*QUESTION)
        assert len(talk.memory.closings) == 2


async def test_no_follow_up_where_none_is_wanted() -> None:
    async with Talk(settings=VoiceSettings(reader=OPERATOR, follow_up_seconds=0)) as talk:
        await talk.hears(wake(), *QUESTION)
        assert talk.session.state is VoiceState.WAITING


async def test_nobody_speaks_after_the_wake_phrase() -> None:
    async with Talk() as talk:
        await talk.hears(wake(), silence(7))
        assert talk.session.state is VoiceState.WAITING
        assert talk.of(SpeechBegan) == []
        assert talk.speech.seconds == []


async def test_noise_that_is_no_words_is_not_answered() -> None:
    async with Talk() as talk:
        talk.speech.texts = [""]
        await talk.hears(wake(), *QUESTION)
        assert talk.of(FinalTranscript) == [FinalTranscript(text="")]
        assert talk.memory.opened == 0
        assert talk.session.state is VoiceState.WAITING


async def test_whoever_speaks_interrupts_and_only_what_was_heard_is_kept() -> None:
    async with Talk() as talk:
        talk.speaker.plays_at_once = False
        talk.model.script = says("Paris is the capital. ", "It lies on the Seine. ", "Ask me more.")
        await talk.hears(wake(), *QUESTION)
        assert talk.session.state is VoiceState.SPEAKING
        assert talk.memory.closings == []
        talk.speaker.hear(2.9)
        await talk.hears(silence(0.5), speech(0.3))
        assert talk.session.state is VoiceState.LISTENING
        assert talk.of(Interrupted) == [Interrupted(heard="Paris is the capital. It lies")]
        assert talk.speaker.ducks[1:3] == [0.3, 1.0]
        assert all(sound.is_done for sound in talk.speaker.sounds)
        (closing,) = talk.memory.closings
        assert (closing.text, closing.state) == ("Paris is the capital. It lies", MessageState.CANCELLED)
        talk.speech.texts = ["Stop."]
        await talk.hears(silence(0.8))
        assert talk.session.state is VoiceState.WAITING
        assert len(talk.model.requests) == 1


async def test_the_interrupting_words_are_the_next_question() -> None:
    async with Talk() as talk:
        talk.speaker.plays_at_once = False
        await talk.hears(wake(), *QUESTION)
        talk.speech.texts = ["And of Italy?"]
        await talk.hears(silence(0.5), speech(1.0), silence(0.8))
        assert talk.of(FinalTranscript)[-1] == FinalTranscript(text="And of Italy?")
        assert talk.speech.seconds[-1] >= 1.3  # with what was said before it was clear that somebody speaks
        assert len(talk.model.requests) == 2


async def test_an_interruption_cancels_the_model() -> None:
    async with Talk() as talk:
        talk.speaker.plays_at_once = False
        talk.model.script = [TextDelta(text="A first long sentence. "), TextDelta(text="And "), WAIT, *END]
        await talk.hears(wake(), *QUESTION)
        await until(lambda: talk.session.state is VoiceState.SPEAKING)
        await talk.hears(silence(0.5), speech(0.3))
        assert (talk.model.running, talk.model.stopped_early) == (0, 1)


async def test_it_cannot_be_interrupted_where_its_own_voice_would() -> None:
    async with Talk(settings=VoiceSettings(reader=OPERATOR, barge_in=None, partial_seconds=0)) as talk:
        talk.speaker.plays_at_once = False
        await talk.hears(wake(), *QUESTION, speech(3.0))
        assert talk.session.state is VoiceState.SPEAKING
        assert talk.of(Interrupted) == []
        talk.speaker.hear(60)
        await settle()
        assert talk.memory.closings[0].state is MessageState.COMPLETE


async def test_who_was_cut_off_too_early_may_finish() -> None:
    """They paused for long; while the recognizer still works, they go on: one question, not two."""
    async with Talk() as talk:
        talk.speech.release.clear()
        await talk.hears(wake(), speech(0.6), silence(0.7))
        assert talk.session.state is VoiceState.THINKING
        await talk.hears(silence(0.4), speech(0.8))
        assert talk.session.state is VoiceState.LISTENING
        talk.speech.release.set()
        talk.speech.texts = ["Set a timer for ... five minutes"]
        await talk.hears(silence(1.5))
        assert talk.speech.seconds[-1] > 2.0
        assert len(talk.of(FinalTranscript)) == 1


async def test_intents_need_no_model() -> None:
    async with Talk(heard="What time is it?") as talk:
        await talk.hears(wake(), *QUESTION)
        assert talk.model.requests == []
        assert talk.voice.said == ["It is three oh five p.m."]


async def test_a_timer_rings_when_it_is_due_and_nobody_speaks() -> None:
    async with Talk(heard="Set a timer for five minutes.") as talk:
        await talk.hears(wake(), *QUESTION)
        await talk.hears(silence(9))
        assert talk.session.state is VoiceState.WAITING
        talk.now = 301.0
        await until(lambda: len(talk.voice.said) == 2)
        assert "timer" in talk.voice.said[1] and "done" in talk.voice.said[1]
        await until(lambda: talk.session.state is VoiceState.WAITING)
        await asyncio.sleep(0.3)
        assert len(talk.voice.said) == 2


async def test_volume_by_voice() -> None:
    async with Talk(heard="Set the volume to 80 percent.") as talk:
        await talk.hears(wake(), *QUESTION)
        talk.speech.texts = ["Louder"]
        await talk.hears(*QUESTION)
        assert [event.percent for event in talk.of(VolumeChanged)] == [80, 90]  # type: ignore[union-attr]
        assert talk.speaker.volume_percent == 90


async def test_mute_by_voice_closes_the_microphone_after_saying_so() -> None:
    async with Talk(heard="Mute the microphone.") as talk:
        await talk.hears(wake(), *QUESTION)
        assert talk.mutes == 1
        assert talk.voice.said


async def test_push_to_talk_needs_no_silence() -> None:
    async with Talk(settings=BUTTON, has_wake_word=False) as talk:
        await talk.hears(speech(1.0))
        assert talk.events == []
        talk.session.press()
        await talk.hears(speech(0.5), silence(3.0), speech(0.5))
        assert talk.of(SpeechEnded) == []
        talk.session.release()
        await settle()
        assert len(talk.memory.closings) == 1
        assert talk.session.state is VoiceState.WAITING


async def test_a_button_released_at_once_asks_nothing() -> None:
    async with Talk(settings=BUTTON, has_wake_word=False) as talk:
        talk.session.press()
        talk.session.release()
        await settle()
        assert talk.speech.seconds == []
        assert talk.session.state is VoiceState.WAITING


async def test_pressing_the_button_interrupts() -> None:
    async with Talk(settings=BUTTON, has_wake_word=False) as talk:
        talk.speaker.plays_at_once = False
        talk.session.press()
        await talk.hears(speech(0.5))
        talk.session.release()
        await until(lambda: talk.session.state is VoiceState.SPEAKING)
        talk.session.press()
        await settle()
        assert len(talk.of(Interrupted)) == 1
        assert talk.memory.closings[0].state is MessageState.CANCELLED


async def test_stop_is_silence() -> None:
    async with Talk() as talk:
        talk.speaker.plays_at_once = False
        await talk.hears(wake(), *QUESTION)
        talk.session.stop()
        await settle()
        assert talk.session.state is VoiceState.WAITING
        assert talk.speaker.cuts >= 1


async def test_a_model_that_hears_gets_the_sound() -> None:
    async with Talk() as talk:
        talk.model.can_hear = True
        await talk.hears(wake(), *QUESTION)
        (part,) = talk.model.requests[0].messages[-1].parts
        assert isinstance(part, Audio) and part.media_type == "audio/wav" and part.data[:4] == b"RIFF"


@pytest.mark.parametrize("failure", [MissingExtra("pip install 'edged[voice]'"), QueueFull("too many")])
async def test_a_recognizer_that_fails_is_told_and_the_conversation_goes_on(failure: MissingExtra | QueueFull) -> None:
    async with Talk() as talk:
        talk.speech.failure = failure
        await talk.hears(wake(), *QUESTION)
        assert talk.of(TurnFailed) == [TurnFailed(code=failure.code.name, message=failure.message)]
        talk.speech.failure = None
        await talk.hears(silence(3), wake(), *QUESTION)
        assert len(talk.memory.closings) == 1


async def test_a_voice_that_fails_costs_nobody_the_answer() -> None:
    async with Talk() as talk:
        talk.voice.failure = MissingExtra("apt-get install espeak-ng")
        await talk.hears(wake(), *QUESTION)
        assert [event.message for event in talk.of(TurnFailed)] == ["apt-get install espeak-ng"]  # type: ignore[union-attr]
        (closing,) = talk.memory.closings
        assert (closing.text, closing.state) == ("Paris.", MessageState.COMPLETE)


async def test_a_model_that_refuses_is_told() -> None:
    async with Talk() as talk:
        talk.model.refusal = QueueFull("too many requests are waiting")
        await talk.hears(wake(), *QUESTION)
        assert len(talk.of(TurnFailed)) == 1
        assert talk.session.state is VoiceState.WAITING


async def test_timings_add_up() -> None:
    async with Talk() as talk:
        await talk.hears(wake(), *QUESTION)
        (timings,) = talk.of(TurnTimings)
        assert isinstance(timings, TurnTimings)
        assert 450 <= timings.endpoint_ms <= timings.transcript_ms <= timings.first_token_ms <= timings.first_audio_ms


async def test_the_end_of_the_sound_ends_what_is_being_said() -> None:
    async with Talk(has_wake_word=False) as talk:
        await talk.hears(silence(0.5), speech(1.0))
        await talk.ends()
        assert len(talk.memory.closings) == 1
        assert talk.of(Finished) == [Finished(finish_reason=FinishReason.STOP)]


async def test_who_vanishes_mid_sentence_leaves_nothing_behind() -> None:
    async with Talk(has_wake_word=False) as talk:
        talk.speech.release.clear()
        await talk.hears(speech(1.0), silence(0.3))
    assert talk.speech.cancelled == 1
    assert talk.memory.opened == 0
    assert len(asyncio.all_tasks()) == 1


async def test_who_vanishes_during_the_answer_cancels_it() -> None:
    async with Talk() as talk:
        talk.model.script = [TextDelta(text="Once upon a time "), WAIT, *END]
        await talk.hears(wake(), *QUESTION)
    assert talk.memory.closings[0].state is MessageState.CANCELLED
    assert talk.memory.closings[0].text == ""  # none of it was said aloud
    assert len(asyncio.all_tasks()) == 1


async def test_an_endless_utterance_is_cut_and_answered() -> None:
    settings = VoiceSettings(reader=OPERATOR, endpointing=Endpointing(max_seconds=3.0), partial_seconds=0)
    async with Talk(settings=settings) as talk:
        await talk.hears(wake(), speech(4.0))
        assert len(talk.of(SpeechEnded)) >= 1
        assert max(talk.speech.seconds) < 4.0


async def test_ten_minutes_of_silence_change_nothing() -> None:
    async with Talk() as talk:
        for _ in range(60):
            await talk.hears(silence(10))
        assert talk.events == []
        assert talk.session.state is VoiceState.WAITING


async def test_two_conversations_do_not_hear_each_other() -> None:
    async with Talk(heard="What is one?") as one, Talk(heard="What is two?") as two:
        for each in (one, two):
            await each.hears(wake(), speech(0.5))
        for each in (two, one):
            await each.hears(silence(0.8))
        assert one.of(FinalTranscript) == [FinalTranscript(text="What is one?")]
        assert two.of(FinalTranscript) == [FinalTranscript(text="What is two?")]


async def test_a_long_answer_is_not_spoken_ahead_without_end() -> None:
    async with Talk() as talk:
        talk.speaker.plays_at_once = False
        talk.model.script = says(*["This is a sentence of some length. "] * 40)
        await talk.hears(wake(), *QUESTION)
        assert len(talk.voice.said) < 6
        assert len(talk.of(Speaking)) < 6
