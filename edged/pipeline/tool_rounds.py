"""An answer in which the daemon's own tools are called: asked, run, and asked again with what they returned."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import fields, replace

from edged.events import (
    MAX_TOOLS,
    ContextTrimmed,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    Image,
    Measured,
    Message,
    Part,
    Role,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    ToolReturned,
    ToolUse,
    Usage,
)
from edged.pipeline.answer_parts import AnswerParts
from edged.pipeline.ports import LanguageModel
from edged.pipeline.tools.local_tool import Occasion
from edged.pipeline.tools.toolbox import Toolbox
from edged.records import Reader

MAX_ROUNDS = 4
"""How often the model may call the daemon's tools in one turn; then it has to answer."""


class ToolRounds:
    """Adds the daemon's tools to those of a request."""

    def __init__(self, model: LanguageModel, toolbox: Toolbox) -> None:
        self._model = model
        self._toolbox = toolbox

    def tools_for(self, asked: ToolUse | None, reader: Reader, *, has_form: bool) -> ToolUse | None:
        """What the model may call: the caller's tools, and the daemon's where the answer has no form to keep to.

        A tool of the caller's hides one of the daemon's of the same name.
        """
        if asked and asked.choice is ToolChoice.NONE:
            return None
        names = {tool.name for tool in asked.tools} if asked else set()
        own = () if has_form or (asked and _requires_theirs(asked)) else self._toolbox.offered(reader)
        own = tuple(tool for tool in own if tool.name not in names)[: max(MAX_TOOLS - len(names), 0)]
        if asked is None:
            return ToolUse(tools=own) if own else None
        return replace(asked, tools=(*asked.tools, *own))

    async def generate(
        self, request: GenerationRequest, asked: Sequence[Tool], reader: Reader
    ) -> AsyncGenerator[GenerationEvent | ToolReturned, None]:
        """What the model emits, and what tools return to it; `Measured`, of all rounds together, and `Finished` last.

        asked: the caller's tools, whose calls end the turn.
        """
        theirs = {tool.name for tool in asked}
        pictures = [part for message in request.messages for part in message.parts if isinstance(part, Image)]
        occasion = Occasion(reader=reader, pictures=pictures)
        measured: Measured | None = None
        calls = 0
        for number in range(MAX_ROUNDS + 1):
            answer = AnswerParts()
            reason: FinishReason | None = None
            spent: Usage | None = None
            async with aclosing(self._model.generate(request)) as events:
                async for event in events:
                    answer.take(event)
                    match event:
                        case Measured():
                            measured, spent = _together(measured, event), event.usage
                        case Finished():
                            reason = event.finish_reason
                        case ToolCallStarted() | ToolCallDelta():
                            yield replace(event, index=event.index + calls)
                        case ContextTrimmed() if number:
                            pass  # it was said
                        case _:
                            yield event
            made = [part for part in answer.parts(with_open_calls=True) if isinstance(part, ToolCall)]
            own = [call for call in made if call.name not in theirs]
            if reason is not FinishReason.TOOL_CALLS or not own:
                break
            results: list[Part] = []
            for call in own:
                content = await self._toolbox.call(call, occasion)
                results.append(ToolResult(call_id=call.id, content=content))
                yield ToolReturned(call_id=call.id, content=content)
            if len(own) < len(made):  # the caller's are still to be answered
                break
            calls += len(made)
            said = Message(role=Role.ASSISTANT, parts=(*answer.parts(with_open_calls=True), *results))
            if spent is None:
                raise RuntimeError("the model stopped without Measured")
            request = _continued(request, said, spent, may_call=number + 1 < MAX_ROUNDS)
            if request.sampling.max_tokens < 1:
                reason = FinishReason.LENGTH
                break
        if measured:
            yield measured
        if reason:
            yield Finished(finish_reason=reason)


def _requires_theirs(asked: ToolUse) -> bool:
    """Whether a call of the daemon's tools would not be what the caller asked for."""
    if asked.choice is ToolChoice.REQUIRED:
        return bool(asked.tools)
    return asked.choice is ToolChoice.NAMED and any(tool.name == asked.name for tool in asked.tools)


def _continued(request: GenerationRequest, said: Message, spent: Usage, *, may_call: bool) -> GenerationRequest:
    """What was required was done: from here on the model decides, until it has called often enough.

    spent: in the round before; an answer's limits hold for all rounds together.
    """
    use = replace(request.tool_use, choice=ToolChoice.AUTO, name="") if request.tool_use and may_call else None
    thinking = request.max_reasoning_tokens
    return replace(
        request,
        messages=(*request.messages, said),
        tool_use=use,
        sampling=replace(request.sampling, max_tokens=request.sampling.max_tokens - spent.completion_tokens),
        max_reasoning_tokens=None if thinking is None else max(0, thinking - spent.reasoning_tokens),
    )


def _together(earlier: Measured | None, last: Measured) -> Measured:
    """The tokens of all rounds; the time to the first token is that of the first, speeds are the last one's."""
    if earlier is None:
        return last
    before, now = earlier.usage, last.usage
    usage = Usage(**{item.name: getattr(before, item.name) + getattr(now, item.name) for item in fields(Usage)})
    metrics = replace(last.metrics, ttft_ms=earlier.metrics.ttft_ms, queue_ms=earlier.metrics.queue_ms)
    return Measured(usage=usage, metrics=metrics)
