"""python -m engines build|verify|plan|compile|catalog|pull|prepare|train: the command line of the build."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

from edged.errors import EdgedError, MissingExtra

try:
    from .build import artefact_folder, build
    from .catalog import CATALOG, catalog_table
    from .checkpoint.text_file import one_line
    from .plan import describe, plan
    from .prepare import order_for, prepare, request_for
    from .recipe import load_recipe, recipe_names
    from .train import FOLDER, NAMES, TrainOrder, train
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
        print(f"engines: interrupted, {options.interrupted}", file=sys.stderr)
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
        case ModuleNotFoundError():
            text = f"{exc.name} is not installed: pip install 'edged[build]'"
        case _:
            text = f"unexpected {type(exc).__name__}: {str(exc)[:200]} (--debug shows where)"
    return one_line(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    building = commands.add_parser("build", help="turn a checkpoint into an engine")
    building.add_argument(
        "source",
        metavar="RECIPE|NAME|FOLDER|FILE.gguf",
        help=f"recipes: {', '.join(recipe_names())}; NAME: of the catalog, once pulled",
    )
    building.add_argument("--out", type=Path, metavar="DIR", help="the engine's folder (build/engines/<name>)")
    building.add_argument("--recipe", metavar="NAME", help="for NAME, FOLDER or FILE.gguf (cpu)")
    building.add_argument("--chat-template", type=Path, metavar="FILE", help="a Jinja template to use instead")
    building.set_defaults(run=_build)
    verifying = commands.add_parser("verify", help="check an engine's files and what it computes")
    verifying.add_argument("artefact", metavar="NAME|FOLDER", help="an engine of build/engines, or its folder")
    verifying.add_argument(
        "--plots", type=Path, nargs="?", const=Path(), metavar="DIR", help="draw what each expert does (here)"
    )
    verifying.add_argument(
        "--questions", type=_count, metavar="N", help="ask autoglm-phone-nano N held-out questions of each task"
    )
    verifying.set_defaults(run=_verify)
    planning = commands.add_parser("plan", help="what a recipe makes of a model: memory and least time of a token")
    planning.add_argument("recipe", metavar="RECIPE", help=f"one of {', '.join(recipe_names())}")
    planning.add_argument("model", nargs="?", metavar="NAME|FOLDER|FILE.gguf", help="else the recipe's own")
    planning.set_defaults(run=lambda options: print(describe(plan(load_recipe(options.recipe), options.model))))
    compiling = commands.add_parser("compile", help="add a TensorRT plan for one kind of GPU to an engine")
    compiling.add_argument("artefact", metavar="NAME|FOLDER", help="an engine of build/engines, or its folder")
    compiling.add_argument("--target", required=True, metavar="sm86|sm89|sm120", help="sm87 on the Jetson itself")
    compiling.add_argument("--context", type=_count, metavar="N", help="places of the key/value cache (4096)")
    compiling.add_argument("--max-tokens", type=_count, metavar="N", help="of a prompt computed at once (512)")
    compiling.add_argument("--workspace-mb", type=_count, metavar="N", help="GPU memory a kernel may take for itself")
    compiling.set_defaults(run=_compile)
    listing = commands.add_parser("catalog", help="models worth having, with memory and predicted speed")
    listing.set_defaults(run=lambda options: print(catalog_table()))
    pulling = commands.add_parser("pull", help="download a checkpoint: the only command that uses the network")
    pulling.add_argument("source", metavar="NAME|OWNER/NAME[@REVISION]", help=f"NAME: {', '.join(CATALOG)}")
    pulling.add_argument("--file", metavar="FILE.gguf", help="this file of the repository instead of its safetensors")
    pulling.add_argument("--out", type=Path, metavar="DIR", help="where to (build/models/<name>)")
    pulling.set_defaults(run=_pull)
    preparing = commands.add_parser("prepare", help="pull and build what is missing, and print the engine's name")
    preparing.add_argument("model", metavar="NAME|FOLDER|FILE.gguf")
    preparing.set_defaults(run=lambda options: print(prepare(options.model, say=_remark)))
    training = commands.add_parser("train", help="make the weights of a model of this project")
    training.add_argument("model", metavar="NAME", help=", ".join(NAMES))
    training.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    training.add_argument("--minutes", type=_minutes, metavar="M", help="stop in between after so long")
    training.add_argument("--within", type=_minutes, metavar="M", help="be at the end after so long")
    training.add_argument("--from", dest="begin_from", type=Path, metavar="DIR", help="a checkpoint to begin with")
    training.add_argument("--tokens", type=_count, metavar="N", help="to learn from, for a model of a package")
    training.set_defaults(run=_train)
    for command in (building, verifying, planning, compiling, listing, pulling, preparing, training):
        command.add_argument("--debug", action="store_true", help="show tracebacks")
        command.set_defaults(interrupted="nothing was installed")
    for command in (pulling, preparing, training):
        command.set_defaults(interrupted="what has come is kept: the same command goes on from there")
    return parser


def _build(options: argparse.Namespace) -> None:
    order = order_for(options.source, recipe=options.recipe, out=options.out, template=options.chat_template)
    build(order, say=print)


def _verify(options: argparse.Namespace) -> None:
    folder = artefact_folder(options.artefact)
    print(verify(folder, options.plots))
    if options.questions:
        try:
            from .nano.judge import examined
            from .nano.shape import NAME
        except ModuleNotFoundError as exc:
            raise MissingExtra(f"{exc.name} is not installed: questions need `make setup EXTRAS=train`") from exc
        print(examined(folder, options.questions, FOLDER / NAME))


def _compile(options: argparse.Namespace) -> None:
    from .tensorrt.compile import CompileOrder, compile_artefact

    order = CompileOrder(
        folder=artefact_folder(options.artefact),
        target=options.target,
        context=options.context,
        max_tokens=options.max_tokens,
        workspace_mb=options.workspace_mb,
    )
    compile_artefact(order, say=print)


def _train(options: argparse.Namespace) -> None:
    order = TrainOrder(
        name=options.model,
        device=options.device,
        minutes=options.minutes,
        within=options.within,
        begin_from=options.begin_from,
        tokens=options.tokens,
    )
    train(order, say=_remark)


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return number


def _minutes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError("must be minutes, more than 0")
    return number


def _pull(options: argparse.Namespace) -> None:
    from .pull import pull

    request = request_for(options.source, file=options.file, out=options.out)
    pulled = pull(request, say=lambda line: print(line, flush=True))
    known = options.source in CATALOG and not options.out and not options.file
    source = options.source if known else str(pulled.checkpoint(request.destination))
    print(f"to build it: python -m engines build {shlex.quote(source)}")


def _remark(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _leave(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
