"""One step of driving a phone: a screenshot and what was done before, to the action that comes next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import date

from edged.errors import ContextOverflow, InvalidInput, MissingExtra
from edged.events import (
    Finished,
    FinishReason,
    GenerationRequest,
    Image,
    Measured,
    OutputFormat,
    OutputKind,
    ReasoningDelta,
    Sampling,
    Text,
    TextDelta,
)
from edged.pipeline.phone.confirmation import confirmation, touched
from edged.pipeline.phone.conversation import conversation
from edged.pipeline.phone.dialect import grammar, read, written
from edged.pipeline.phone.screen import in_words
from edged.pipeline.ports import LanguageModel, Sight
from edged.records import (
    DoubleTap,
    LongPress,
    PhoneStep,
    PictureText,
    StepRequest,
    Swipe,
    Tap,
    TypeName,
    TypeText,
)
from edged.vision.pictures import begin_picture

MAX_TASK_CHARACTERS = 2000
MAX_HISTORY = 100
"""Steps before this one."""
MAX_FAILURE_CHARACTERS = 500
MAX_ACTION_CHARACTERS = 3000
"""Of an action in the history, as it is written."""
MAX_APP_CHARACTERS = 200
MAX_REASONING_TOKENS = 8192
REASONING_TOKENS = 1024
"""How many may be thought where the request does not say."""
ACTION_TOKENS = 1280
"""As many as the longest action that the grammar allows takes: four for each of its characters, at worst."""
AgentEvent = ReasoningDelta | PhoneStep | Measured
_OUTPUT = OutputFormat(kind=OutputKind.LARK, text=grammar())
_TOUCHES = (Tap, DoubleTap, LongPress, Swipe)


class PhoneAgent:
    """Asks a model for the next step; nothing of it is stored."""

    def __init__(
        self, model: LanguageModel, sight: Sight | None, *, today: Callable[[], date] = lambda: date.today()
    ) -> None:
        """sight: reads screens, for models that do not see, and to know what a tap is about to touch."""
        self._model = model
        self._sight = sight
        self._today = today

    async def step(self, request: StepRequest) -> AsyncGenerator[AgentEvent, None]:
        """What the model thinks, the step, and what it took. Closing this stops the computation within one token.

        Raises InvalidInput, NotFound, MissingExtra, QueueFull, Unavailable, ContextOverflow; MalformedAction where
        the model breaks its grammar.
        """
        check(request)
        model = await self._model.resolve(request.model)
        picture = await asyncio.wrap_future(begin_picture(request.screenshot, field="screenshot"))
        said = None if await self._model.sees(model) else await self._said(request.screenshot)
        asked = self._asked(request, said, model)
        await self._model.check(asked)
        text, thought, measured = "", "", None
        async with aclosing(self._model.generate(asked)) as generation:
            async for event in generation:
                match event:
                    case ReasoningDelta():
                        thought += event.text
                        yield event
                    case TextDelta():
                        text += event.text
                    case Measured():
                        measured = event
                    case Finished(finish_reason=reason):
                        _require_whole(reason)
        action = read(text)
        if said is None and isinstance(action, _TOUCHES):
            said = await self._read(request.screenshot)
        has_typed = bool(request.history) and isinstance(request.history[-1].action, TypeText | TypeName)
        needed = confirmation(action, said, task=request.task, thought=thought, has_typed=has_typed)
        yield PhoneStep(
            action=action,
            confirmation=needed,
            width=picture.width,
            height=picture.height,
            touched=touched(action, said),
        )
        if measured:
            yield measured

    def _asked(self, request: StepRequest, said: PictureText | None, model: str) -> GenerationRequest:
        """said: by the screen, for a model that does not see it."""
        screen = _shown(request.screenshot) if said is None else Text(text=in_words(said))
        thinking = REASONING_TOKENS if request.max_reasoning_tokens is None else request.max_reasoning_tokens
        return GenerationRequest(
            messages=conversation(request, screen, self._today()),
            # As the client does that these models were published with.
            sampling=Sampling(temperature=0, top_p=0.85, frequency_penalty=0.2, max_tokens=thinking + ACTION_TOKENS),
            enable_thinking=request.enable_thinking,
            max_reasoning_tokens=thinking,
            model=model,
            output=_OUTPUT,
        )

    async def _said(self, screenshot: bytes) -> PictureText:
        """By the screen. Raises MissingExtra where nobody can read it."""
        if self._sight is None:
            raise MissingExtra("this model sees no pictures, and nothing is installed that reads them to it")
        return await self._sight.read_text(screenshot, field="screenshot")

    async def _read(self, screenshot: bytes) -> PictureText | None:
        """What the screen says; None where nobody can read it."""
        try:
            return await self._said(screenshot)
        except MissingExtra:
            return None


def check(request: StepRequest) -> None:
    """Raises InvalidInput for what is missing or too long."""
    if not request.task.strip() or len(request.task) > MAX_TASK_CHARACTERS:
        raise InvalidInput(f"say in 1 to {MAX_TASK_CHARACTERS} characters what is to be done", field="task")
    if not request.screenshot:
        raise InvalidInput("there is no screenshot", field="screenshot")
    if len(request.app) > MAX_APP_CHARACTERS:
        raise InvalidInput(f"app may have {MAX_APP_CHARACTERS} characters", field="app")
    if not 0 <= (request.max_reasoning_tokens or 0) <= MAX_REASONING_TOKENS:
        raise InvalidInput(
            f"max_reasoning_tokens must be between 0 and {MAX_REASONING_TOKENS}", field="max_reasoning_tokens"
        )
    if len(request.history) > MAX_HISTORY:
        raise InvalidInput(f"the history may have {MAX_HISTORY} steps; leave out the oldest", field="history")
    for number, step in enumerate(request.history):
        if len(step.failure) > MAX_FAILURE_CHARACTERS or len(written(step.action)) > MAX_ACTION_CHARACTERS:
            raise InvalidInput("a step of the history is too long", field=f"history[{number}]")


def _shown(screenshot: bytes) -> Image:
    """Its first bytes say what it is, not this type."""
    return Image(data=screenshot, media_type="image/png")


def _require_whole(reason: FinishReason) -> None:
    if reason is FinishReason.LENGTH:
        raise ContextOverflow(
            "the context ended before the action did: send less history, let the model think less, "
            "or raise engine.max_seq_len"
        )
