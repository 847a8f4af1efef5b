"""How something was said: asked of a model that hears, after the answer."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from edged.audio.pcm import to_pcm, to_wav
from edged.config import EngineConfig
from edged.engine.worker import EngineWorker
from edged.errors import QueueFull
from edged.events import Audio, Finished
from edged.pipeline.emotion import QUESTION, ModelEmotions
from edged.voice_events import EmotionHeard
from engines.nano import voices
from tests.pipeline.stages import Talk, silence, speech, wake
from tests.server.scripted import ScriptedModel, says, until

ENGINES = Path(__file__).parents[2] / "build" / "engines"


async def test_it_is_told_after_the_answer_and_not_stored() -> None:
    model = ScriptedModel(says("Excited", "."))
    async with Talk(emotions=ModelEmotions(model, "tiny")) as talk:
        await talk.hears(wake(), silence(0.3), speech(1.0), silence(0.7))
        await until(lambda: talk.of(EmotionHeard))
        assert talk.of(EmotionHeard) == [EmotionHeard(emotion="excited")]
        kinds = [type(event) for event in talk.events]
        assert kinds.index(EmotionHeard) > kinds.index(Finished)
        recording, question = model.requests[0].messages[0].parts
        assert isinstance(recording, Audio) and question.text == QUESTION  # type: ignore[union-attr]
        assert len(talk.memory.closings) == 1


async def test_a_model_that_cannot_say_costs_nobody_the_conversation() -> None:
    model = ScriptedModel([QueueFull("busy")])
    async with Talk(emotions=ModelEmotions(model, "tiny")) as talk:
        await talk.hears(wake(), silence(0.3), speech(1.0), silence(0.7))
        await until(lambda: model.requests)
        await talk.hears(silence(0.1), speech(1.0), silence(0.8))
        assert talk.of(EmotionHeard) == []
        assert len(talk.memory.closings) == 2


@pytest.mark.parametrize("style", ["excited", "quiet"])
async def test_the_nano_tells_how_a_word_is_said(style: voices.Style) -> None:
    """Which `make setup` builds, asked as the daemon asks it: utterances hold what came before and a pause."""
    worker = EngineWorker(EngineConfig(default="autoglm-phone-nano", threads=2), [ENGINES])
    await worker.start()
    try:
        right = 0
        for number, voice in enumerate(voices.HELD_OUT[:6]):
            said = voices.say("kitchen!", voice, voices.manner(random.Random(number), style))
            utterance = np.concatenate((np.zeros(4_800), said, np.zeros(8_000))).astype(np.float32)
            recording = Audio(data=to_wav(to_pcm(utterance)), media_type="audio/wav")
            right += await ModelEmotions(worker, "autoglm-phone-nano").read(recording) == style
        assert right >= 5  # of 6; it is right nine times in ten (engines/README.md)
    finally:
        await worker.close()
