"""Whose voice it was, in conversations: beside the transcript, and never in the way of an answer."""

from __future__ import annotations

import asyncio
import time

import pytest

from edged.errors import InvalidInput, StoreError
from edged.pipeline.answering import NAME_SECONDS
from edged.pipeline.voice_parts import VoiceSettings
from edged.pipeline.who_speaks import MOST_SECONDS, WhoSpeaks
from edged.records import OPERATOR
from edged.voice_events import FinalTranscript
from tests.pipeline.people import DictPeople, LoudnessEncoder
from tests.pipeline.stages import LOUD, Talk, silence, speech, wake
from tests.server.scripted import until

QUESTION = "What is the capital of France?"
ANNA, BEN, STRANGER = LOUD + 100, LOUD + 200, LOUD + 300


class Heard:
    """A session that knows Anna and Ben."""

    def __init__(self, settings: VoiceSettings | None = None, **people: int) -> None:
        self.encoder = LoudnessEncoder()
        self.people = DictPeople(**(people or {"Anna": ANNA, "Ben": BEN}))
        self.talk = Talk(settings=settings, who_speaks=WhoSpeaks(self.encoder, self.people))

    async def hears(self, loudness: int, seconds: float = 1.0) -> None:
        await self.talk.hears(silence(0.3), speech(seconds, loudness), silence(0.8))

    def named(self) -> list[str]:
        return [event.speaker for event in self.talk.events if isinstance(event, FinalTranscript)]


async def test_each_question_has_its_speaker() -> None:
    heard = Heard()
    async with heard.talk:
        await heard.talk.hears(wake())
        for loudness in (ANNA, BEN, STRANGER, ANNA):
            await heard.hears(loudness)
        assert heard.named() == ["Anna", "Ben", "", "Anna"]


async def test_it_is_found_out_once_at_the_first_pause() -> None:
    heard = Heard()
    async with heard.talk:
        await heard.talk.hears(wake())
        await heard.hears(ANNA)
        assert len(heard.encoder.heard) == 1
        assert heard.encoder.heard[0] < 1.8  # of the silence that ended it, only the beginning


async def test_who_goes_on_after_a_pause_is_heard_whole() -> None:
    heard = Heard()
    async with heard.talk:
        await heard.talk.hears(wake(), speech(0.3, ANNA), silence(0.3), speech(0.6, ANNA), silence(0.8))
        assert heard.named() == ["Anna"]
        assert len(heard.encoder.heard) == 2


async def test_a_button_ends_what_is_heard() -> None:
    heard = Heard(VoiceSettings(reader=OPERATOR, has_button=True, partial_seconds=0))
    async with heard.talk:
        heard.talk.session.press()
        await heard.talk.hears(speech(1.0, BEN))
        heard.talk.session.release()
        await until(heard.named)
        assert heard.named() == ["Ben"]


async def test_a_model_that_hears_does_not_keep_it_from_being_said() -> None:
    heard = Heard()
    async with heard.talk:
        heard.talk.model.can_hear = True
        await heard.talk.hears(wake())
        await heard.hears(ANNA)
        assert heard.named() == ["Anna"]


async def test_nothing_is_computed_where_nobody_is_known() -> None:
    heard = Heard(Somebody=1)
    heard.people.known.clear()
    async with heard.talk:
        await heard.talk.hears(wake())
        await heard.hears(ANNA)
        assert heard.named() == [""]
        assert heard.encoder.heard == []


async def test_too_little_speech_has_no_speaker() -> None:
    heard = Heard()
    async with heard.talk:
        await heard.talk.hears(wake())
        await heard.hears(ANNA, seconds=0.3)
        assert heard.named() == [""]


async def test_an_encoder_that_takes_too_long_is_not_waited_for() -> None:
    heard = Heard()
    async with heard.talk:
        heard.encoder.release.clear()
        began = time.perf_counter()
        await heard.talk.hears(wake())
        await heard.hears(ANNA)
        await until(heard.named)
        assert heard.named() == [""]
        await until(lambda: heard.talk.memory.closings)
        assert time.perf_counter() - began < NAME_SECONDS + 5
        await heard.talk.hears(silence(0.1))
    await until(lambda: heard.encoder.cancelled)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("failure", [StoreError("the disk is gone"), InvalidInput("not a number")])
async def test_what_goes_wrong_costs_nobody_the_answer(failure: StoreError | InvalidInput) -> None:
    heard = Heard()
    heard.people.failure = failure
    async with heard.talk:
        await heard.talk.hears(wake())
        await heard.hears(ANNA)
        assert heard.talk.of(FinalTranscript) == [FinalTranscript(text=QUESTION)]
        assert len(heard.talk.memory.closings) == 1


async def test_whoever_is_deleted_is_not_named_again() -> None:
    heard = Heard()
    async with heard.talk:
        await heard.talk.hears(wake())
        await heard.hears(ANNA)
        await heard.people.delete_speaker("Anna")
        await heard.hears(ANNA)
        assert heard.named() == ["Anna", ""]


async def test_of_a_long_utterance_the_beginning_is_enough() -> None:
    heard = Heard()
    async with heard.talk:
        await heard.talk.hears(wake())
        await heard.hears(ANNA, seconds=MOST_SECONDS + 3)
        assert heard.named() == ["Anna"]
        assert heard.encoder.heard == [MOST_SECONDS]


async def test_the_model_is_not_told_and_nothing_is_stored() -> None:
    heard = Heard()
    async with heard.talk:
        await heard.talk.hears(wake())
        await heard.hears(ANNA)
        (request,) = heard.talk.model.requests
        assert "Anna" not in repr(request)
        assert "Anna" not in repr(heard.talk.memory.messages)
