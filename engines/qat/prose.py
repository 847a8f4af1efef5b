"""English text that people wrote and that is here already: the documentation within installed packages.

The standard library's docstrings and the topics of its `help`, and of some packages with permissive licences the
docstrings and the descriptions. Licences themselves are left out. It is learned from and goes nowhere else.
"""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

PACKAGES = (
    "click", "huggingface_hub", "hypothesis", "jinja2", "mpmath", "networkx", "numpy", "onnx", "packaging",
    "pytest", "rich", "setuptools", "sympy", "torch", "transformers", "typer",
)  # fmt: skip
"""Read where they are installed. Apache-2.0, BSD, MIT or MPL-2.0 (hypothesis)."""
_LEAST, _MOST = 200, 20_000
"""Characters of a passage: shorter ones say little, longer ones are tables."""
_LEAST_LETTERS = 0.75
"""Share of letters and spaces: the rest are listings."""
_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def passages() -> Iterator[str]:
    """All of it, in an order that only the installed versions decide."""
    yield from (text for _, text in sorted(topics.items()) if _is_prose(text))
    yield from _docstrings(sorted(_library_files()))
    for name in PACKAGES:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        description = found.metadata.json.get("description")
        if isinstance(description, str) and _is_prose(description[:_MOST]):
            yield description[:_MOST]
        files = (Path(str(found.locate_file(file))) for file in found.files or () if file.suffix == ".py")
        yield from _docstrings(sorted(files))


def prose(
    tokenizer: Tokenizer, length: int, kept: Path, source: Callable[[], Iterator[str]] = passages
) -> NDArray[np.uint32]:
    """Texts of `length` tokens cut from a source, in a fixed random order; kept in a file if there are any.

    # (texts, length)
    """
    if kept.is_file() and len(found := np.load(kept)):
        return np.asarray(found, np.uint32)
    tokens: list[int] = []
    for batch in _batches(source(), 512):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            tokens += encoding.ids
    cut = np.array(tokens[: len(tokens) // length * length], np.uint32).reshape(-1, length)
    texts = np.random.default_rng(0).permutation(cut)
    if len(texts):
        beside = kept.with_suffix(".new")
        with beside.open("wb") as file:
            np.save(file, texts)
        beside.rename(kept)
    return texts


def _library_files() -> Iterator[Path]:
    library = Path(sysconfig.get_path("stdlib"))
    for path in library.rglob("*.py"):
        if not {"site-packages", "test", "tests", "idlelib", "pydoc_data"} & {*path.relative_to(library).parts}:
            yield path


def _docstrings(files: list[Path]) -> Iterator[str]:
    """Each once; files that cannot be read or parsed have none."""
    seen = set()
    for path in files:
        try:
            with warnings.catch_warnings(action="ignore"):  # about the files' own escapes
                tree = ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError, RecursionError):
            continue
        for node in ast.walk(tree):
            text = ast.get_docstring(node) if isinstance(node, _DEFINITIONS) else None
            if text and text not in seen and _is_prose(text):
                seen.add(text)
                yield text + "\n\n"


def _is_prose(text: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in text)
    is_licence = "WARRANTIES" in text or "Licensed under the" in text
    return _LEAST <= len(text) <= _MOST and letters >= _LEAST_LETTERS * len(text) and not is_licence


def _batches(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
