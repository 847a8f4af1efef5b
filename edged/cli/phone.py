"""`edged phone`: a model drives an Android phone, and asks before what cannot be undone."""

from __future__ import annotations

import asyncio

import click

from edged.cli.connection import held_client
from edged.cli.parameters import utf8
from edged.config import load_config
from edged.errors import InvalidInput

MAX_STEPS = 100
"""As much history as a step may be asked with."""


@click.command()
@click.argument("task", type=utf8)
@click.option("--serial", type=utf8, default="", metavar="S", help="Which phone, as `adb devices` names it.")
@click.option("--model", type=utf8, default="", metavar="NAME", help="An installed engine (`edged models list`).")
@click.option(
    "--max-steps", type=click.IntRange(1, MAX_STEPS), default=30, show_default=True, help="Give up after so many."
)
@click.option("--yes", is_flag=True, help="Do sensitive steps without asking. Nothing takes them back.")
@click.option("--json", "as_json_lines", is_flag=True, help="Print one JSON object a line: each step, then the end.")
def phone(task: str, serial: str, model: str, max_steps: int, yes: bool, as_json_lines: bool) -> None:
    """Let a model do TASK on an Android phone that adb reaches.

    The model sees one screenshot after the other; none of them is kept. You are asked before it pays, deletes or sends
    something, as far as the words on the screen tell, and before every step of a demo-size model. Ctrl-C stops it.
    """
    if not task.strip():
        raise InvalidInput('the task is empty; say what is to be done, e.g. `edged phone "Open the settings"`')
    from edged.cli.adb import connected_phone
    from edged.cli.phone_task import PhoneTask

    config = load_config()
    # Ctrl-C inside `runner.run` cancels what it runs; questions are asked outside, where it ends the question.
    with asyncio.Runner() as runner:
        driven = runner.run(connected_phone(serial, max_screenshot_bytes=config.daemon.max_message_bytes))
        with held_client(runner, config) as client:
            driving = PhoneTask(runner, client, driven, task, model, agrees=yes, as_json_lines=as_json_lines)
            driving.introduce()
            driving.run(max_steps)
