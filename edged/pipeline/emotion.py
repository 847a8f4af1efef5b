"""How something was said, asked of a model that hears."""

from __future__ import annotations

from contextlib import aclosing

from edged.events import Audio, GenerationRequest, Message, Role, Sampling, Text, TextDelta
from edged.pipeline.ports import LanguageModel

QUESTION = "How does the speaker sound?"
MAX_TOKENS = 8


class ModelEmotions:
    """Satisfies `edged.pipeline.ports.EmotionReader`; nothing of it is stored."""

    def __init__(self, model: LanguageModel, name: str) -> None:
        """name: of an installed engine that hears, and was trained to answer this question in a word."""
        self._model = model
        self._name = name

    async def read(self, recording: Audio) -> str:
        """See EmotionReader."""
        request = GenerationRequest(
            messages=(Message(role=Role.USER, parts=(recording, Text(text=QUESTION))),),
            sampling=Sampling(temperature=0, max_tokens=MAX_TOKENS),
            model=await self._model.resolve(self._name),
        )
        await self._model.check(request)
        async with aclosing(self._model.generate(request)) as events:
            said = "".join([event.text async for event in events if isinstance(event, TextDelta)])
        return said.strip(" .。!\n").lower()
