"""What goes wrong in conversations by voice when two things happen at once, or one takes its time."""

from __future__ import annotations

import asyncio

import pytest

from edged.errors import QueueFull
from edged.events import MessageState, Started, TextDelta
from edged.pipeline.vad import Endpointing
from edged.pipeline.voice_parts import VoiceSettings
from edged.records import OPERATOR
from edged.voice_events import (
    FinalTranscript,
    PartialTranscript,
    SpeechEnded,
    TurnFailed,
    VoiceState,
)
from tests.pipeline.stages import Talk, settle, silence, speech, wake
from tests.server.scripted import END, WAIT, until

BUTTON = VoiceSettings(reader=OPERATOR, has_button=True, partial_seconds=0)
QUESTION = (silence(0.3), speech(1.0), silence(0.7))


async def test_an_interrupted_reply_of_an_intent_is_not_part_of_what_comes_next() -> None:
    async with Talk(heard="Set a timer for five minutes.") as talk:
        talk.speaker.plays_at_once = False
        await talk.hears(wake(), *QUESTION)
        talk.speech.texts = ["Stop."]
        await talk.hears(silence(0.5), speech(0.4), silence(0.8))
        assert talk.speech.seconds[-1] < 1.7
        assert len(talk.session._parts.skills._timers) == 1


async def test_timers_that_end_together_are_all_announced() -> None:
    async with Talk(heard="Set a timer for five minutes.") as talk:
        await talk.hears(wake(), *QUESTION)
        talk.speech.texts = ["Set a timer for ten seconds."]
        await talk.hears(*QUESTION, silence(9))
        talk.now = 301.0
        await until(lambda: sum("done" in said for said in talk.voice.said) == 2)


async def test_a_timer_does_not_take_the_button_out_of_anybodys_hand() -> None:
    async with Talk(settings=BUTTON, has_wake_word=False, heard="Set a timer for one second.") as talk:
        talk.session.press()
        await talk.hears(speech(0.5))
        talk.session.release()
        await until(lambda: talk.session.state is VoiceState.WAITING and talk.voice.said)
        talk.speech.texts = ["What is the capital of France?"]
        talk.session.press()
        talk.now = 5.0
        await talk.hears(silence(0.5))
        await asyncio.sleep(0.5)
        await talk.hears(speech(0.5))
        talk.session.release()
        await until(lambda: talk.memory.closings)
        assert FinalTranscript(text="What is the capital of France?") in talk.events
        await until(lambda: any("done" in said for said in talk.voice.said))


async def test_a_conversation_that_was_deleted_is_begun_anew() -> None:
    async with Talk() as talk:
        await talk.hears(wake(), *QUESTION)
        talk.memory.messages.clear()
        await talk.hears(*QUESTION)
        assert len(talk.memory.closings) == 2
        assert talk.of(TurnFailed) == []


async def test_a_long_pause_begins_a_new_conversation() -> None:
    async with Talk(settings=VoiceSettings(reader=OPERATOR, forget_seconds=0, partial_seconds=0)) as talk:
        await talk.hears(wake(), *QUESTION, *QUESTION)
        first, second = talk.of(Started)
        assert first.conversation_id != second.conversation_id  # type: ignore[union-attr]


async def test_the_wake_phrase_counts_again_as_soon_as_it_waits() -> None:
    async with Talk() as talk:
        talk.speech.texts = [""]
        await talk.hears(wake(), *QUESTION)
        assert talk.session.state is VoiceState.WAITING
        await talk.hears(silence(0.1), wake())
        assert talk.session.state is VoiceState.LISTENING


async def test_a_model_that_hears_is_not_passed_over_for_half_a_sentence() -> None:
    async with Talk(heard="What time is it?") as talk:
        talk.model.can_hear = True
        await talk.hears(wake(), speech(0.6), silence(0.3))
        talk.speech.release.clear()
        await talk.hears(speech(0.6), silence(0.9))
        assert len(talk.model.requests) == 1


async def test_what_nobody_heard_is_not_kept() -> None:
    async with Talk() as talk:
        talk.model.script = [TextDelta(text="Not a sentence yet"), WAIT, *END]
        await talk.hears(wake(), *QUESTION)
        await until(lambda: talk.of(TextDelta))
        await talk.hears(silence(0.5), speech(0.3))
        (closing,) = talk.memory.closings
        assert (closing.text, closing.state) == ("", MessageState.CANCELLED)


async def test_a_model_that_fails_is_heard_to_where_it_came() -> None:
    async with Talk() as talk:
        talk.speaker.plays_at_once = False
        talk.model.script = [TextDelta(text="It is Paris. And "), QueueFull("the device failed")]
        await talk.hears(wake(), *QUESTION)
        assert talk.session.state is VoiceState.SPEAKING
        talk.speaker.hear(60)
        await settle()
        assert len(talk.of(TurnFailed)) == 1
        assert talk.session.state is VoiceState.WAITING


async def test_a_short_interruption_is_heard_too() -> None:
    async with Talk() as talk:
        talk.speaker.plays_at_once = False
        await talk.hears(wake(), *QUESTION)
        talk.speech.texts = ["No."]
        await talk.hears(silence(0.5), speech(0.2), silence(1.0))
        assert talk.of(FinalTranscript)[-1] == FinalTranscript(text="No.")


async def test_a_button_that_stays_down_ends_after_a_while() -> None:
    settings = VoiceSettings(
        reader=OPERATOR, endpointing=Endpointing(max_seconds=3.0), has_button=True, partial_seconds=0
    )
    async with Talk(settings=settings, has_wake_word=False) as talk:
        talk.session.press()
        await talk.hears(speech(4.0))
        assert talk.speech.seconds == [pytest.approx(3.0, abs=0.1)]


async def test_a_microphone_that_is_somebody_elses_is_not_said_to_be_off() -> None:
    async with Talk(heard="Mute the microphone.") as talk:
        talk.session._parts.skills._can_mute = False
        await talk.hears(wake(), *QUESTION)
        assert talk.mutes == 0
        assert "cannot" in talk.voice.said[0]


async def test_who_talks_without_end_is_answered_all_the_same() -> None:
    """With a recognizer that takes its time, and a television that goes on."""
    settings = VoiceSettings(reader=OPERATOR, endpointing=Endpointing(max_seconds=3.0), partial_seconds=0)
    async with Talk(settings=settings) as talk:
        talk.speech.release.clear()
        await talk.hears(wake(), speech(8.0))
        assert len(talk.of(SpeechEnded)) == 1
        assert talk.speech.cancelled == 0
        talk.speech.release.set()
        await until(lambda: talk.memory.closings)


async def test_it_speaks_up_again_after_a_cough_while_it_thinks() -> None:
    async with Talk() as talk:
        talk.speaker.plays_at_once = False
        talk.speech.release.clear()
        await talk.hears(wake(), speech(1.0), silence(0.8))
        await talk.hears(silence(0.4), speech(0.1))
        talk.speech.release.set()
        await until(lambda: talk.session.state is VoiceState.SPEAKING)
        assert talk.speaker.ducks[-1] == 1.0


async def test_an_interrupted_answer_after_a_long_pause_is_not_forgotten() -> None:
    async with Talk() as talk:
        await talk.hears(wake(), *QUESTION)
        talk.session._thread.answered_at -= 10_000
        talk.speaker.plays_at_once = False
        await talk.hears(*QUESTION, silence(0.5), speech(1.0), silence(0.8))
        ids = [event.conversation_id for event in talk.of(Started)]  # type: ignore[union-attr]
        assert len(ids) == 3 and ids[0] != ids[1] == ids[2]


async def test_a_timer_counts_until_it_was_announced() -> None:
    async with Talk(heard="Set a timer for five minutes.") as talk:
        await talk.hears(wake(), *QUESTION, silence(9))
        talk.speaker.plays_at_once = False
        talk.now = 301.0
        await until(lambda: talk.session.state is VoiceState.SPEAKING)
        skills = talk.session._parts.skills
        assert skills.has_timers
        talk.speaker.hear(60)
        await until(lambda: not skills.has_timers)


async def test_what_was_being_written_down_for_a_model_that_hears_is_not_taken_for_what_is_said_next() -> None:
    async with Talk() as talk:
        talk.model.can_hear = True
        talk.speech.release.clear()
        await talk.hears(wake(), *QUESTION)
        assert talk.session.state is VoiceState.LISTENING  # it was answered, and a follow-up may come
        talk.speech.release.set()
        await settle()
        assert talk.of(PartialTranscript) == []
        assert talk.speech.cancelled == 1
