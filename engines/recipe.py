"""Recipes: how a checkpoint is turned into an engine, in a TOML file of recipes/ or anywhere."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from edged.errors import InvalidInput, nearest

from .audio.artefact import AudioFormat
from .calibrate import Calibration, Method
from .encoder.products import Bits as TowerBits
from .gate import text_names
from .graph.integer_weights import Bits, Inputs, IntegerFormat, Minimum
from .graph.model_file import Activations
from .quantize import Rounding
from .recipe_source import OwnSource, PackagedSource, Source
from .samples import MAX_PICTURES, PictureFile, picture_files
from .target import Target, TargetDevice
from .vision.artefact import VisionFormat

_T = TypeVar("_T")
FOLDER = Path(__file__).parent / "recipes"
KINDS = ("qkv", "o", "gate_up", "down")
"""The matrices of a layer, as the graph fuses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what an artefact holds, besides the checkpoint."""

    name: str
    title: str
    """What `edged models list` says; empty takes the checkpoint's own."""
    source: Source | None
    """None: the checkpoint is named on the command line."""
    format: IntegerFormat
    calibration: Calibration
    target: Target
    vision: VisionFormat
    audio: AudioFormat
    max_context: int
    """Longest context the rotary tables are written for."""
    text: str
    max_perplexity_loss: float
    against: str = ""
    """The recipe whose weights the gate measures against, for weights that were trained from those; empty takes the
    checkpoint's own."""

    @property
    def digest(self) -> str:
        """Changes whenever the recipe does."""
        words = json.dumps(asdict(self), sort_keys=True, default=lambda path: path.name)
        return hashlib.sha256(words.encode()).hexdigest()[:12]


def recipe_names() -> list[str]:
    """Those that come with edged."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(name: str) -> Recipe:
    """By name from recipes/, or by the path of a .toml file. Raises InvalidInput naming the key at fault."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        known = recipe_names()
        raise InvalidInput(f"no recipe {name!r}{nearest(name, known)}; recipes are {', '.join(known)}")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"{path}: not valid TOML: {exc}") from exc
    return _recipe(path, _Table(document, f"{path.name}: "))


class _Table:
    """A TOML table whose keys are taken one by one; what is left over is an error."""

    def __init__(self, values: Mapping[str, object], where: str) -> None:
        self.values = dict(values)
        self.where = where
        self.taken: list[str] = []

    def take(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        self.taken.append(key)
        value = self.values.pop(key, default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise InvalidInput(f"{self.where}{key} must be of type {kind.__name__}, not {value!r}")
        return value

    def optional(self, key: str, kind: type[_T]) -> _T | None:
        self.taken.append(key)
        return self.take(key, kind) if key in self.values else None

    def choose(self, key: str, choices: tuple[_T, ...], default: _T) -> _T:
        self.taken.append(key)
        value = self.values.pop(key, default)
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise InvalidInput(f"{self.where}{key} must be one of {', '.join(map(str, choices))}, not {value!r}")

    def table(self, key: str) -> _Table:
        self.taken.append(key)
        value = self.values.pop(key, {})
        if not isinstance(value, dict):
            raise InvalidInput(f"{self.where}{key} must be a table, written [{key}]")
        return _Table(value, f"{self.where}{key}.")

    def finish(self) -> None:
        for key in self.values:
            raise InvalidInput(f"{self.where}{key} is unknown{nearest(key, self.taken)}")


def _recipe(path: Path, top: _Table) -> Recipe:
    gate, linear = top.table("gate"), top.table("linear")
    text = gate.choose("text", text_names(), "harbour")
    method = linear.choose("method", get_args(Method), "round")
    inputs: Inputs = linear.choose("inputs", get_args(Inputs), "int8")
    calibration = _calibration(top.table("calibration"), method, text, path.parent)
    recipe = Recipe(
        name=path.stem,
        title=top.take("title", str, ""),
        max_context=top.take("max_context", int, 32768),
        source=_source(top.table("source")) if "source" in top.values else None,
        format=IntegerFormat(
            minimum=_minimum(top.table("minimum")),
            linear=_rounding(linear, bits=4),
            inputs=inputs,
            embedding=_rounding(top.table("embedding"), bits=8, only_symmetric=True),
            head=_rounding(top.table("head"), bits=8, only_symmetric=True),
            bits=_bits(top.table("bits")),
        ),
        calibration=calibration,
        target=_target(top.table("target")),
        vision=_vision(top.table("vision")),
        audio=_audio(top.table("audio")),
        text=text,
        max_perplexity_loss=gate.take("max_perplexity_loss", float),
        against=gate.choose("against", ("", *recipe_names()), ""),
    )
    gate.finish()
    top.finish()
    return recipe


def _vision(table: _Table) -> VisionFormat:
    vision = VisionFormat(
        bits=table.choose("bits", get_args(TowerBits), 8), max_pixels=table.take("max_pixels", int, 0)
    )
    if not 0 <= vision.max_pixels <= 2**27:
        raise InvalidInput(f"{table.where}max_pixels must be between 0 and {2**27}, not {vision.max_pixels}")
    table.finish()
    return vision


def _audio(table: _Table) -> AudioFormat:
    audio = AudioFormat(bits=table.choose("bits", get_args(TowerBits), 8))
    table.finish()
    return audio


def _source(table: _Table) -> Source:
    if (checkpoint := table.optional("checkpoint", str)) is not None:
        table.finish()
        if re.fullmatch(r"[a-z0-9][a-z0-9-]*", checkpoint) is None:
            raise InvalidInput(f"{table.where}checkpoint must name a folder of checkpoints/, not {checkpoint!r}")
        return OwnSource(checkpoint=checkpoint)
    source = PackagedSource(
        package=table.take("package", str),
        requirement=table.take("requirement", str),
        file=table.take("file", str),
        sha256=table.take("sha256", str),
    )
    table.finish()
    return source


def _rounding(table: _Table, bits: Literal[4, 8], *, only_symmetric: bool = False) -> Rounding:
    """`only_symmetric`: the kernels of embedding and head have no zero points."""
    rounding = Rounding(
        bits=8 if table.choose("bits", (4, 8), bits) == 8 else 4,
        block_size=table.choose("block_size", (32, 64, 128), 32),
        symmetric=table.choose("symmetric", (True,) if only_symmetric else (True, False), True),
        keep=table.take("keep", bool, True),
    )
    table.finish()
    return rounding


def _bits(table: _Table) -> tuple[tuple[str, Bits], ...]:
    """Patterns in the order of the file."""
    choices: tuple[Bits, ...] = get_args(Bits)
    return tuple((pattern, table.choose(pattern, choices, 4)) for pattern in list(table.values))


def _calibration(table: _Table, method: Method, gate_text: str, folder: Path) -> Calibration:
    """`folder`: of the recipe, which paths are relative to."""
    texts = tuple(name for name in text_names() if name != gate_text)
    images = table.optional("images", int)
    if images is not None and not 0 <= images <= MAX_PICTURES:
        raise InvalidInput(f"{table.where}images must be between 0 and {MAX_PICTURES}, not {images}")
    calibration = Calibration(
        method=method,
        text=table.choose("text", texts, "miscellany" if gate_text != "miscellany" else texts[0]),
        tokens=table.take("tokens", int, 8192),
        images=images,
        pictures=_pictures(table, folder, images),
    )
    table.finish()
    if not 512 <= calibration.tokens <= 2**20:
        raise InvalidInput(f"{table.where}tokens must be between 512 and {2**20}, not {calibration.tokens}")
    return calibration


def _pictures(table: _Table, folder: Path, images: int | None) -> tuple[PictureFile, ...]:
    name = table.optional("pictures", str)
    if name is None:
        return ()
    try:
        return picture_files(folder / name, images)
    except ValueError as exc:
        raise InvalidInput(f"{table.where}pictures is not a path: {name!r}") from exc
    except InvalidInput as exc:
        raise InvalidInput(f"{table.where}pictures: {exc.message}") from exc


def _target(table: _Table) -> Target:
    device = table.choose("device", get_args(TargetDevice), "cpu")
    activations: Activations = table.choose("activations", get_args(Activations), _default_activations(device))
    if device != "cpu" and activations != "float16":
        raise InvalidInput(f"{table.where}activations must be float16 for {device}")
    target = Target(device=device, activations=activations, devices=table.take("devices", int, 1), split=_split(table))
    if not 1 <= target.devices <= 16 or (target.split and target.devices != 1):
        raise InvalidInput(f"{table.where}devices must be between 1 and 16, or left out where split says it")
    table.finish()
    return target


def _default_activations(device: TargetDevice) -> Activations:
    return "float32" if device == "cpu" else "float16"


def _split(table: _Table) -> tuple[int, ...]:
    layers = table.take("split", list, [])
    if layers and not (len(layers) > 1 and all(type(count) is int and 0 < count <= 1024 for count in layers)):
        raise InvalidInput(f"{table.where}split must name the layers of two or more devices, not {layers!r}")
    return tuple(layers)


def _minimum(table: _Table) -> dict[str, Minimum]:
    choices: tuple[Minimum, ...] = get_args(Minimum)
    chosen = {kind: table.choose(kind, choices, "columns") for kind in KINDS}
    table.finish()
    return chosen
