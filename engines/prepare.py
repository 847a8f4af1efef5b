"""From a model's name or path to an installed engine: pull what is missing, build what is not built."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edged.engine.manifest import read_manifest
from edged.errors import ArtefactError, InvalidInput, NotFound, nearest

from .build import TEMPLATE_MARK, Order, build, default_destination
from .catalog import CATALOG, CatalogEntry
from .pulled import read_pulled
from .recipe import load_recipe, recipe_names

if TYPE_CHECKING:
    from .pull import Request

MODELS = Path(__file__).resolve().parent.parent / "build" / "models"
"""Where `pull` puts checkpoints."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def order_for(
    source: str, *, recipe: str | None = None, out: Path | None = None, template: Path | None = None
) -> Order:
    """What `build SOURCE` is to build: a path, a name of the catalog that was pulled, or a recipe with weights.

    A name without a file of that name is one of the catalog or a recipe; everything else is a checkpoint.
    Raises InvalidInput or NotFound saying what there is.
    """
    path = Path(source).expanduser()
    if path.suffix != ".toml" and (path.exists() or path.suffix == ".gguf" or "/" in source):
        if not path.exists() and path.suffix != ".gguf" and _REPOSITORY.fullmatch(source.partition("@")[0]):
            raise NotFound(f"{source}: no such file or folder; from the hub: python -m engines pull {source}")
        chosen, name = load_recipe(recipe or "cpu"), path.resolve().name.removesuffix(".gguf")
    elif (entry := CATALOG.get(source)) is not None:
        chosen, name, path = load_recipe(recipe or entry.recipe), entry.name, _pulled_checkpoint(entry)
    else:
        _require_known(source)
        chosen = load_recipe(source)
        name = chosen.name
        if chosen.source is None:
            raise InvalidInput(f"recipe {name} names no weights: build FOLDER|FILE.gguf --recipe {name}")
        path = chosen.source.find()
    return Order(
        recipe=chosen,
        source=path,
        destination=(out or default_destination(name)).resolve(),
        chat_template=template,
    )


def request_for(source: str, *, file: str | None = None, out: Path | None = None) -> Request:
    """What `pull SOURCE` is to bring: a name of the catalog or OWNER/NAME, with @REVISION or without."""
    from .pull import Request

    name, _, revision = source.partition("@")
    entry = CATALOG.get(name)
    if entry is None and not _REPOSITORY.fullmatch(name):
        hint = nearest(name, CATALOG) or ": python -m engines catalog lists them"
        raise InvalidInput(f"{name[:100]!r} is neither OWNER/NAME of a hub nor a name of the catalog{hint}")
    if entry is not None and file is None:
        file = entry.file
    folder = entry.name if entry else Path(file or name).name.removesuffix(".gguf").lower()
    return Request(
        repository=entry.repository if entry else name,
        revision=revision or (entry.revision if entry else "main"),
        file=file,
        destination=(out or MODELS / folder).resolve(),
    )


def prepare(model: str, say: Callable[[str], object]) -> str:
    """Make the engine of a model ready and return its name. Only a name of the catalog is ever pulled.

    One that was built with another recipe, for a GPU say, or with a chat template of the user's, stays that: only what
    is not built is built for CPUs.
    """
    entry = None if Path(model).expanduser().exists() else CATALOG.get(model)
    if entry is not None and not _is_pulled(entry):
        built = default_destination(entry.name)
        with suppress(ArtefactError):  # none, or one of another version of edged
            name = read_manifest(built).name
            say(f"{entry.name}: built before ({built}); its download is no longer here and not needed")
            return name
        from .pull import pull

        pull(request_for(model), say)
    order = order_for(model)
    with suppress(ArtefactError):
        present = read_manifest(order.destination)
        recipe = present.recipe.partition(" ")[0]
        if order.recipe.source is None and recipe in recipe_names():
            order = order_for(model, recipe=recipe)
        if TEMPLATE_MARK in present.recipe:
            order = replace(order, chat_template=order.destination / present.chat_template_file)
    return build(order, say).name


def _is_pulled(entry: CatalogEntry) -> bool:
    pulled = read_pulled(MODELS / entry.name)
    return pulled is not None and pulled.is_whole(MODELS / entry.name)


def _pulled_checkpoint(entry: CatalogEntry) -> Path:
    folder = MODELS / entry.name
    pulled = read_pulled(folder)
    if pulled is None or not pulled.is_whole(folder):
        raise NotFound(f"{entry.name} is not here: python -m engines pull {entry.name} ({entry.download_gb} GB)")
    return pulled.checkpoint(folder)


def _require_known(name: str) -> None:
    known = recipe_names()
    if not name.endswith(".toml") and name not in known:
        hint = nearest(name, [*known, *CATALOG])
        raise InvalidInput(
            f"no recipe, model of the catalog, file or folder {name[:100]!r}{hint}; recipes are {', '.join(known)}; "
            "python -m engines catalog lists models"
        )
