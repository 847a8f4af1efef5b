"""`edged ask`: one question, one answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edged.cli.answer import CUT_OFF, Answer
from edged.cli.attachment import read_audio, read_image
from edged.cli.connection import with_client
from edged.cli.generation import Generation, generation_from, generation_options
from edged.cli.output import print_json, say
from edged.cli.parameters import utf8
from edged.config import Config, load_config
from edged.errors import InvalidInput
from edged.events import FinishReason, Part, Text

if TYPE_CHECKING:
    from edged.client import Client


@click.command()
@click.argument("text", type=utf8)
@click.option("--image", type=click.Path(path_type=Path), metavar="FILE", help="A picture to ask about.")
@click.option("--audio", type=click.Path(path_type=Path), metavar="FILE", help="A recording to ask about.")
@click.option("--conversation", type=utf8, default="", metavar="ID", help="Go on with this conversation.")
@generation_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when the answer is complete.")
def ask(text: str, image: Path | None, audio: Path | None, conversation: str, as_json: bool, **options: Any) -> None:
    """Ask one question and stream the answer to stdout.

    TEXT may be -, which reads the question from stdin. Starts a daemon for itself when none is running.
    """
    config = load_config()
    limit = config.daemon.max_message_bytes
    parts: list[Part] = [Text(text=_question(text, max_bytes=limit))]
    if image:
        parts.append(read_image(image, max_bytes=limit))
    if audio:
        parts.append(read_audio(audio, max_bytes=limit))
    answer = Answer(is_streamed=not as_json)
    asyncio.run(_ask(config, tuple(parts), conversation, generation_from(options), answer))
    if as_json:
        print_json(answer.report())
    elif answer.finish_reason is FinishReason.LENGTH:
        say(CUT_OFF)


def _question(text: str, *, max_bytes: int) -> str:
    if text == "-":
        data = sys.stdin.buffer.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise InvalidInput(f"stdin holds more than {max_bytes} bytes (daemon.max_message_bytes)")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise InvalidInput(f"stdin is not valid UTF-8 at byte {exc.start + 1}") from exc
    if not text.strip():
        raise InvalidInput("the question is empty")
    return text


async def _ask(
    config: Config, parts: tuple[Part, ...], conversation_id: str, generation: Generation, answer: Answer
) -> None:
    def question(client: Client) -> Coroutine[None, None, None]:
        events = client.ask(
            parts,
            conversation_id=conversation_id,
            model=generation.model,
            sampling=generation.sampling,
            enable_thinking=generation.enable_thinking,
            system_prompt=generation.system_prompt,
        )
        return answer.follow(events)

    await with_client(config, question, may_repeat=lambda: answer.started is None)
