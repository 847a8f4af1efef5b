"""`edged models`: the engines on this machine. Works on their folders, with or without a daemon."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.attachment import refuse_address
from edged.cli.output import human_bytes, human_count, print_json, print_table, say
from edged.cli.parameters import utf8
from edged.config import load_config
from edged.errors import EdgedError, InvalidInput, NotFound

if TYPE_CHECKING:
    from edged.engine.installed import InstalledEngine
    from edged.engine.manifest import Manifest

_json_option = click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
_path = click.Path(path_type=Path)
HOW_TO_GET_ONE = "`edged models import FOLDER_OR_TAR` brings one; in a checkout, `make setup` builds the default one."


@click.group()
def models() -> None:
    """Look at installed engines and bring others.

    An engine is a folder that `python -m engines build` made from a checkpoint.
    """


@models.command("list")
@_json_option
def list_(json_wanted: bool) -> None:
    """List the engines of this machine that can be used; * marks the default one. JSON says more of each."""
    from edged.engine.installed import installed_engines
    from edged.engine.readers import reads

    config = load_config()
    engines = installed_engines(config.paths.engines)
    if json_wanted:
        print_json([{**_summary(engine), "is_default": engine.name == config.engine.default} for engine in engines])
    elif not engines:
        click.echo(f"No engines. {HOW_TO_GET_ONE}")
    else:
        rows = [
            (
                f"{engine.name}{' *' if engine.name == config.engine.default else ''}",
                _size(engine.manifest),
                engine.manifest.precision.label.partition(",")[0],  # of the head and the rest: in JSON
                ", ".join(reads(engine.manifest)),
                human_bytes(engine.manifest.disk_bytes),
                engine.manifest.license,
            )
            for engine in engines
        ]
        print_table(("NAME", "SIZE", "PRECISION", "READS", "ON DISK", "LICENSE"), rows)
    readable = {engine.name for engine in engines}
    for name in engine_names(config.paths.engines):
        if name not in readable:
            say(f"left out {name}: it is damaged, `edged models verify {name}` says how")


@models.command("import")
@click.argument("source", metavar="FOLDER_OR_TAR", type=_path)
@_json_option
def import_(source: Path, json_wanted: bool) -> None:
    """Copy an engine into the state directory; every file is checked first."""
    from edged.engine.installed import import_engine

    refuse_address(source)
    if source.suffix in (".gguf", ".safetensors"):
        raise InvalidInput(f"{source} is a checkpoint, not an engine: `python -m engines build {source}` makes one")
    engine = import_engine(source, load_config().paths.state / "engines")
    if json_wanted:
        print_json(_summary(engine))
    else:
        click.echo(f"Imported {engine.name}. To answer with it: `edged chat --model {engine.name}`.")


@models.command()
@click.argument("name", type=utf8)
@click.argument("file", type=_path, required=False)
def export(name: str, file: Path | None) -> None:
    """Write an engine to a tar FILE, by default NAME.tar here, for `import` on another machine."""
    from edged.engine.installed import export_engine, find_engine

    target = file or Path(f"{name}.tar")
    export_engine(find_engine(load_config().paths.engines, name), target)
    click.echo(f"Wrote {target}, {human_bytes(target.stat().st_size)}.")


@models.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, type=utf8)
@_json_option
def verify(names: tuple[str, ...], json_wanted: bool) -> None:
    """Compare every file of these engines, or of all, with its SHA-256."""
    from edged.engine.installed import find_engine, verify_engine

    directories = load_config().paths.engines
    wrong: dict[str, str] = {}
    wanted = names or engine_names(directories)
    if not wanted:
        raise NotFound(f"no engines to verify: {HOW_TO_GET_ONE}")
    for name in wanted:
        try:
            verify_engine(find_engine(directories, name))
        except EdgedError as exc:
            wrong[name] = exc.message
    if json_wanted:
        print_json([{"name": name, "intact": name not in wrong, "reason": wrong.get(name, "")} for name in wanted])
    else:
        for name in wanted:
            click.echo(wrong.get(name, f"{name} is intact."), err=name in wrong)
    sys.exit(1 if wrong else 0)


@models.command()
@click.argument("name", type=utf8)
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(name: str, yes: bool) -> None:
    """Remove an imported engine."""
    from edged.engine.installed import remove_engine

    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("stdin is no terminal to ask on: add --yes")
        click.confirm(f"Remove the engine {name}?", abort=True)
    remove_engine(load_config().paths.state / "engines", name)
    click.echo(f"Removed {name}.")


def engine_names(directories: Sequence[Path]) -> list[str]:
    """Every engine that is there, torn ones included."""
    from edged.engine.manifest import FILE_NAME

    return sorted({file.parent.name for directory in directories for file in directory.glob(f"*/{FILE_NAME}")})


def _size(manifest: Manifest) -> str:
    """Parameters, and of a mixture of experts those that a token passes."""
    if not manifest.active_parameters:
        return human_count(manifest.parameters)
    return f"{human_count(manifest.parameters)}, {human_count(manifest.active_parameters)} active"


def _summary(engine: InstalledEngine) -> dict[str, object]:
    from edged.engine.readers import reads

    manifest = engine.manifest
    return {
        "name": engine.name,
        "title": manifest.title,
        "model_type": manifest.model_type,
        "parameters": manifest.parameters,
        "active_parameters": manifest.active_parameters or manifest.parameters,
        "context_length": manifest.context_length,
        "precision": manifest.precision.label,
        "reads": reads(manifest),
        "thinks": manifest.thinks,
        "disk_bytes": manifest.disk_bytes,
        "license": manifest.license,
        "source": manifest.source,
        "quality": manifest.quality,
        "folder": str(engine.folder),
    }
