"""python -m engines build|verify: the command line of the build."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from edged.errors import EdgedError, InvalidInput

try:
    from .build import Order, build, default_destination
    from .checkpoint.text_file import one_line
    from .recipe import load_recipe, recipe_names
    from .verify import verify
except ModuleNotFoundError as exc:
    sys.exit(f"engines: {exc.name} is not installed: pip install 'edged[build]'")


def main(arguments: list[str] | None = None) -> int:
    """0 done, 1 failed with one line on stderr, 2 usage."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)  # so that a build under way removes its folder
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("engines: interrupted, nothing was installed", file=sys.stderr)
        return 1
    except Exception as exc:  # the process border
        if options.debug:
            raise
        print(f"engines: {_one_line(exc)}", file=sys.stderr)
        return 1
    return 0


def _one_line(exc: Exception) -> str:
    """What went wrong; names out of a checkpoint may hold anything."""
    match exc:
        case EdgedError():
            text = exc.message
        case OSError():
            text = f"{exc.filename or 'the disk'}: {exc.strerror}"
        case MemoryError():
            text = "not enough memory"
        case _:
            text = f"unexpected {type(exc).__name__}: {str(exc)[:200]} (--debug shows where)"
    return one_line(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    building = commands.add_parser("build", help="turn a checkpoint into an engine")
    building.add_argument("source", metavar="RECIPE|FOLDER|FILE.gguf", help=f"recipes: {', '.join(recipe_names())}")
    building.add_argument("--out", type=Path, metavar="DIR", help="the engine's folder (build/engines/<name>)")
    building.add_argument("--recipe", default="cpu", metavar="NAME", help="for a FOLDER or FILE.gguf (cpu)")
    building.add_argument("--chat-template", type=Path, metavar="FILE", help="a Jinja template to use instead")
    building.set_defaults(run=lambda options: build(_order(options), say=print))
    verifying = commands.add_parser("verify", help="check an engine's files and what it computes")
    verifying.add_argument("artefact", type=Path, metavar="ARTEFACT")
    verifying.set_defaults(run=lambda options: print(verify(options.artefact)))
    for command in (building, verifying):
        command.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _order(options: argparse.Namespace) -> Order:
    """A name without a file of that name is a recipe; everything else is a checkpoint."""
    path = Path(options.source)
    if path.suffix != ".toml" and (path.exists() or path.suffix == ".gguf" or "/" in options.source):
        recipe = load_recipe(options.recipe)
        name = path.resolve().name.removesuffix(".gguf")
    else:
        recipe = load_recipe(options.source)
        name = recipe.name
        if recipe.source is None:
            raise InvalidInput(f"recipe {name} names no weights: build FOLDER|FILE.gguf --recipe {name}")
        path = recipe.source.find()
    return Order(
        recipe=recipe,
        source=path,
        destination=(options.out or default_destination(name)).resolve(),
        chat_template=options.chat_template,
    )


def _leave(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
