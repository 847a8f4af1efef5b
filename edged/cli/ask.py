"""`edged ask`: one question, one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edged.cli.answer import CUT_OFF, Answer, warn_of_demo
from edged.cli.attachment import naming, read_audio, read_image, read_stdin
from edged.cli.connection import with_client
from edged.cli.generation import Generation, generation_from, generation_options, output_from, output_options
from edged.cli.output import print_json, say
from edged.cli.parameters import InOrder, given_order, utf8
from edged.config import Config, load_config
from edged.errors import InvalidInput
from edged.events import FinishReason, Image, OutputFormat, Part, Text

if TYPE_CHECKING:
    from edged.client import Client


_file = click.Path(path_type=Path)


@click.command(cls=InOrder)
@click.argument("text", type=utf8, required=False)
@click.option("--image", type=_file, multiple=True, metavar="FILE", help="A picture to ask about; repeatable.")
@click.option("--camera", is_flag=True, help="Show what the daemon's camera sees now (camera.source).")
@click.option("--audio", type=_file, multiple=True, metavar="FILE", help="A recording to hear; repeatable.")
@click.option("--conversation", type=utf8, default="", metavar="ID", help="Go on with this conversation.")
@generation_options
@output_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when the answer is complete.")
@click.pass_context
def ask(
    context: click.Context,
    /,
    text: str | None,
    image: tuple[Path, ...],
    camera: bool,
    audio: tuple[Path, ...],
    conversation: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask one question and stream the answer to stdout.

    TEXT may be -, which reads the question from stdin, and may be left out where pictures or recordings ask for
    themselves. They come before TEXT, in the order in which they are given. Starts a daemon for itself when none is
    running.
    """
    if text is None and not (image or audio or camera):
        raise click.UsageError("Missing argument 'TEXT', or a picture or recording.", context)
    config = load_config()
    limit = config.daemon.max_message_bytes
    order = given_order(context, "image", "audio")
    files = _files(order, image, audio)
    parts: list[Part] = [
        read_image(file, max_bytes=limit) if name == "image" else read_audio(file, max_bytes=limit)
        for name, file in zip(order, files, strict=True)
    ]
    if question := _question(text or "", max_bytes=limit, may_be_empty=bool(parts) or camera):
        parts.append(Text(text=question))
    answer = Answer(is_streamed=not as_json)
    generation, output = generation_from(options), output_from(options)
    with naming({f"parts[{index}]": file for index, file in enumerate(files, start=int(camera))}):
        asyncio.run(_ask(config, tuple(parts), conversation, generation, output, answer, camera=camera))
    if as_json:
        print_json(answer.report())
    elif answer.finish_reason is FinishReason.LENGTH:
        say(CUT_OFF)


def _files(order: Sequence[str], images: Sequence[Path], recordings: Sequence[Path]) -> list[Path]:
    """Pictures and recordings as the options followed each other."""
    left = {"image": iter(images), "audio": iter(recordings)}
    return [next(left[name]) for name in order]


def _question(text: str, *, max_bytes: int, may_be_empty: bool) -> str:
    """The text, from stdin for -; empty where it may be, even of blanks."""
    if text == "-":
        try:
            text = read_stdin(max_bytes).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise InvalidInput(f"stdin is not valid UTF-8 at byte {exc.start + 1}") from exc
    if text.strip():
        return text
    if not may_be_empty:
        raise InvalidInput("the question is empty")
    return ""


async def _ask(
    config: Config,
    parts: tuple[Part, ...],
    conversation_id: str,
    generation: Generation,
    output: OutputFormat | None,
    answer: Answer,
    *,
    camera: bool,
) -> None:
    async def question(client: Client) -> None:
        seen = [Image(data=(await client.camera.snapshot()).jpeg, media_type="image/jpeg")] if camera else []
        await warn_of_demo(client, generation.model)
        events = client.ask(
            (*seen, *parts),
            conversation_id=conversation_id,
            model=generation.model,
            sampling=generation.sampling,
            enable_thinking=generation.enable_thinking,
            max_reasoning_tokens=generation.max_reasoning_tokens,
            system_prompt=generation.system_prompt,
            incognito=generation.incognito,
            output=output,
        )
        await answer.follow(events)

    await with_client(config, question, may_repeat=lambda: answer.started is None)
