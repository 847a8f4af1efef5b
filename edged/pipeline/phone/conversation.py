"""A task and its steps as the conversation that a model for phones was trained on.

Only the newest screen is in it. Of the others the actions stay, so that each prompt begins with what the last one
began with, and a screenshot's thousands of tokens are paid for once.
"""

from __future__ import annotations

import json
from datetime import date

from edged.events import Message, Part, Role, Text
from edged.pipeline.phone.dialect import written
from edged.pipeline.phone.instructions import instructions, language_of
from edged.records import PastStep, StepRequest

_DONE = "(done; its screen is no longer shown)"


def conversation(request: StepRequest, screen: Part, today: date) -> tuple[Message, ...]:
    """What is asked of the model. screen: the screenshot, or what is known of it in words.

    The task stands before the steps, and again at the end: of a long history the oldest messages may not fit.
    """
    asked = [f"{request.task}\n\n{_in_front(request.app)}" if not request.history else request.task]
    asked += [_outcome(step) for step in request.history]
    if request.history:
        asked[-1] += f"\n\n{request.task}\n\n{_in_front(request.app)}"
    system = instructions(request.language or language_of(request.task), today)
    messages = [_message(Role.SYSTEM, Text(text=system))]
    for text, step in zip(asked, request.history, strict=False):
        answer = Text(text=f"<answer>{written(step.action)}</answer>")
        messages += [_message(Role.USER, Text(text=text)), _message(Role.ASSISTANT, answer)]
    return (*messages, _message(Role.USER, screen, Text(text=asked[-1])))


def _message(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def _outcome(step: PastStep) -> str:
    return f"(not done: {step.failure})" if step.failure else _DONE


def _in_front(app: str) -> str:
    return f"** Screen Info **\n\n{json.dumps({'current_app': app}, ensure_ascii=False)}"
