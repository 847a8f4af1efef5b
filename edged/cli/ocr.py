"""`edged ocr`: the text in a picture."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from edged.cli.annotation import require_new_png, write_annotated
from edged.cli.attachment import naming, read_image
from edged.cli.connection import with_client
from edged.cli.output import print_json, printable, say
from edged.config import load_config


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print lines, confidence, places and rows as JSON.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown, rows of several cells as tables.")
@click.option(
    "--annotate", type=click.Path(path_type=Path), metavar="OUT.png", help="Draw around each line, in a new picture."
)
def ocr(file: Path, as_json: bool, as_markdown: bool, annotate: Path | None) -> None:
    """Print the text in a picture, Chinese or English, in reading order.

    What stands in a row, such as a dish and its price, is printed on one line with tabs between. FILE is a JPEG, PNG,
    WebP or GIF; - reads it from stdin.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --md exclude each other")
    if annotate:
        require_new_png(annotate)
    config = load_config()
    picture = read_image(file, max_bytes=config.daemon.max_message_bytes)
    with naming({"picture": file}):
        read = asyncio.run(with_client(config, lambda client: client.vision.read_text(picture)))
    if annotate:
        write_annotated(annotate, picture.data, [line.corners for line in read.lines])
    if as_json:
        print_json(read)
    elif read.lines:
        click.echo(printable(read.markdown if as_markdown else read.text))
    else:
        say("no text was found in the picture")
