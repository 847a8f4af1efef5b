"""A task on a phone, from one screenshot to the next; a person is asked in between."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from edged.cli.adb import Phone
from edged.cli.output import as_json, printable, say
from edged.cli.phone_words import in_words
from edged.errors import PermissionDenied, Unavailable
from edged.events import ReasoningDelta
from edged.records import CallApi, Finish, Interact, PastStep, PhoneAction, PhoneStep, StepRequest, TakeOver, Wait

if TYPE_CHECKING:
    from edged.client import Client

SETTLE_SECONDS = 1.0
"""What a screen gets to change before it is looked at again."""
MAX_WAIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of asking for a step."""

    app: str
    thinking: str
    step: PhoneStep


class PhoneTask:
    """One task on one phone."""

    def __init__(
        self,
        runner: asyncio.Runner,
        client: Client,
        driven: Phone,
        task: str,
        model: str,
        *,
        agrees: bool,
        as_json_lines: bool,
    ) -> None:
        """agrees: to all that the daemon wants a person to agree to."""
        self._runner = runner
        self._client = client
        self._phone = driven
        self._task = task
        self._model = model
        self._agrees = agrees
        self._as_json_lines = as_json_lines
        self._is_demo = False
        self._history: list[PastStep] = []

    def introduce(self) -> None:
        """Say what is to be expected of the model."""
        model = self._runner.run(self._client.get_model(self._model))
        self._is_demo = model.is_demo
        if model.is_demo:
            say(f"{model.name} is a demo-size model: it writes steps that are well-formed, not ones that make sense")
        if "images" not in model.reads:
            say(f"{model.name} sees no pictures: it is told what the screen says, and where")

    def run(self, max_steps: int) -> None:
        """Step by step to the end. Raises Unavailable after so many, PermissionDenied, and what the phone raises."""
        for number in range(1, max_steps + 1):
            asked = self._runner.run(self._ask())
            action = asked.step.action
            if isinstance(action, Finish):
                self._end(number, asked)
                return
            if not self._as_json_lines:
                say(printable(f"{number}. {in_words(asked.step)}{f' in {asked.app}' if asked.app else ''}"))
            self._agree(asked.step)
            failure = self._runner.run(self._perform(asked.step))
            if self._as_json_lines:
                self._print(number, asked, failure)
            elif failure:
                say(printable(f"not done: {failure}"))
            self._history.append(PastStep(action=action, failure=failure))
        raise Unavailable(f"not finished after {max_steps} steps; --max-steps allows more")

    async def _ask(self) -> _Asked:
        request = StepRequest(
            task=self._task,
            screenshot=await self._phone.screenshot(),
            history=tuple(self._history),
            app=await self._phone.app_in_front(),
            model=self._model,
        )
        thinking, step = "", None
        async with aclosing(self._client.agent.step(request)) as events:
            async for event in events:
                if isinstance(event, ReasoningDelta):
                    thinking += event.text
                elif isinstance(event, PhoneStep):
                    step = event
        if step is None:
            raise Unavailable("the daemon broke off its answer")
        return _Asked(request.app, thinking, step)

    def _agree(self, step: PhoneStep) -> None:
        """Raises PermissionDenied where somebody does not, or nobody is there to."""
        needs_hands = isinstance(step.action, TakeOver | Interact)
        reason = f"because {step.confirmation}" if step.confirmation else ""
        if self._is_demo and not reason:
            reason = "before every step of a demo-size model"
        if not reason or (self._agrees and not needs_hands):
            return
        ways = "do it by hand and begin again" if needs_hands else "--yes agrees to all such steps"
        nobody = PermissionDenied(printable(f"nobody is there to answer, asked {reason}; {ways}"))
        if not sys.stdin.isatty():
            raise nobody
        try:
            if needs_hands:
                question = f"{step.confirmation}. Press Enter when it is done"
                click.prompt(printable(question), "", show_default=False, err=True)
            elif not click.confirm(printable(f"{in_words(step)}? Asked {reason}. Do it?"), err=True):
                raise PermissionDenied("stopped: this step was not done, those before it were")
        except click.Abort as exc:
            if isinstance(exc.__context__, KeyboardInterrupt):
                raise
            click.echo(err=True)
            raise nobody from None

    async def _perform(self, step: PhoneStep) -> str:
        """Do it, and let the screen change; what the model is told if it could not be done."""
        match step.action:
            case Wait(seconds=seconds):
                await asyncio.sleep(min(seconds, MAX_WAIT_SECONDS))
                return ""
            case CallApi():
                return "there is no such service here; remember it yourself"
        failure = await self._phone.perform(step.action, step.width, step.height)
        await asyncio.sleep(SETTLE_SECONDS)
        return failure

    def _end(self, number: int, asked: _Asked) -> None:
        assert isinstance(asked.step.action, Finish)
        if self._as_json_lines:
            self._print(number, asked, "")
        else:
            click.echo(printable(asked.step.action.message))

    def _print(self, number: int, asked: _Asked, failure: str) -> None:
        line = {
            "step": number,
            "app": asked.app,
            "thinking": asked.thinking,
            "action": _named(asked.step.action),
            "confirmation": asked.step.confirmation,
            "failure": failure,
        }
        click.echo(json.dumps(line, ensure_ascii=False))


def _named(action: PhoneAction) -> dict[str, object]:
    """Its kind, as the protocol names it, and its values."""
    values = as_json(action)
    assert isinstance(values, dict)
    return {"kind": type(action).__name__, **values}
