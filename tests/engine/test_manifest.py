from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.engine.manifest import FILE_NAME, read_manifest, verify_files
from edged.errors import ArtefactError
from tests.tiny_artefact import tiny_artefact


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_artefact(tmp_path_factory.mktemp("engines"))


@pytest.fixture
def document(artefact: Path) -> dict[str, Any]:
    return dict(json.loads((artefact / FILE_NAME).read_text()))


def rewritten(artefact: Path, document: object, tmp_path: Path) -> Path:
    """The same folder with another manifest."""
    copy = tmp_path / "copy"
    copy.mkdir(exist_ok=True)
    for path in artefact.iterdir():
        (copy / path.name).unlink(missing_ok=True)
        (copy / path.name).symlink_to(path)
    (copy / FILE_NAME).unlink()
    (copy / FILE_NAME).write_text(document if isinstance(document, str) else json.dumps(document))
    return copy


def test_reads_what_was_written(artefact: Path, tmp_path: Path) -> None:
    manifest = read_manifest(artefact)
    manifest.write(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == (artefact / FILE_NAME).read_bytes()
    assert manifest.kv_bytes_per_token == 2 * 4 * 2 * 2 * 16
    verify_files(artefact, manifest)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("layers",), "2", r"manifest\.json: layers has the wrong type"),
        (("layers",), True, "layers has the wrong type"),
        (("layers",), 10**9, "layers is out of range"),
        (("layers",), 10**400, "layers is out of range"),
        (("active_parameters",), 10**14, "active_parameters is out of range"),
        (("name",), "../../etc", "name is out of range"),
        (("title",), "two\nlines", "title must be one line"),
        (("title",), "\ud800", "title must be one line"),
        (("format",), 99, "format 99, this edged reads 3"),
        (("graph", "stages"), [{"file": "/etc/passwd", "layers": 2}], "graph.stages is out of range or names no file"),
        (("graph", "stages"), [{"file": "model.onnx", "layers": 1}], "graph.stages is out of range"),
        (("graph", "stages"), [], "graph.stages is out of range"),
        (("graph", "standard"), "gone.onnx", "graph.standard is out of range or names no file"),
        (("graph", "activations"), "int8", "graph.activations is out of range"),
        (("tokens", "eos"), [10**6], "tokens.eos is out of range"),
        (("tokens", "eos"), ["a"], r"tokens\.eos\[0\] has the wrong type"),
        (("tokens", "reasoning_close"), None, "tokens.reasoning_close"),
        (("quality", "perplexity"), 1e999, "not valid JSON"),
        (("layerz",), 2, r'layerz is unknown \(did you mean "layers"'),
        (("source", "extra"), 1, r"source\.extra is unknown"),
        (("a\nb",), 1, r"'a\\nb' is unknown"),
        (("files", "../evil"), {"sha256": "0" * 64, "bytes": 1}, r"files\.'\.\./evil'"),
        (("files", "model.onnx", "sha256"), "xyz", r"files\.model\.onnx\.sha256"),
        (("files", "model.onnx", "bytes"), 1, r"model\.onnx: \d+ bytes, the manifest says 1"),
        (("files", "gone"), {"sha256": "0" * 64, "bytes": 1}, "gone: missing"),
        (("source",), [], "source must be an object"),
    ],
)
def test_names_what_is_wrong(
    artefact: Path, document: dict[str, Any], tmp_path: Path, path: tuple[str, ...], value: object, message: str
) -> None:
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ArtefactError, match=message):
        read_manifest(rewritten(artefact, document, tmp_path))


def test_names_what_is_missing(artefact: Path, document: dict[str, Any], tmp_path: Path) -> None:
    del document["tokens"]["eos"]
    with pytest.raises(ArtefactError, match=r"tokens\.eos is missing"):
        read_manifest(rewritten(artefact, document, tmp_path))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, '{"format": 2, "format": 2}', '{"format": NaN}', "\xff"]
)
def test_refuses_what_is_no_manifest(artefact: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(ArtefactError, match=r"manifest\.json"):
        read_manifest(rewritten(artefact, text, tmp_path))


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"manifest\.json: cannot be read"):
        read_manifest(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_any_replaced_value_is_an_artefact_error_or_valid(
    artefact: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    document = json.loads((artefact / FILE_NAME).read_text())
    key = data.draw(st.sampled_from(sorted(document)))
    document[key] = data.draw(JSON)
    try:
        read_manifest(rewritten(artefact, document, tmp_path_factory.getbasetemp()))
    except ArtefactError as error:
        assert FILE_NAME in error.message or str(artefact.name) in error.message or "copy" in error.message


def test_a_changed_byte_names_the_file(tmp_path: Path) -> None:
    artefact = tiny_artefact(tmp_path)
    weights = artefact / "model.onnx.data"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    manifest = read_manifest(artefact)
    with pytest.raises(ArtefactError, match=r"model\.onnx\.data: SHA-256 differs"):
        verify_files(artefact, manifest)
