"""A bundle is byte for byte what was signed, or it is refused with the name of what differs."""

from __future__ import annotations

import dataclasses
import io
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.bundle.archive import HEAD, opened, read_files, write_archive
from edged.bundle.manifest import BundleManifest, parse_manifest
from edged.bundle.signature import KEY_FILE, fingerprint, public_pem, signing_key
from edged.cli.bundle import RECIPE
from edged.engine.manifest import describe_file
from edged.errors import ArtefactError, EdgedError

CONTENT = {
    "start.sh": b"#!/bin/sh\n",
    "wheels/one-1.0-py3-none-any.whl": bytes(range(256)) * 5,
    "engines/tiny/weights.onnx": b"",
    "licences/" + "long/" * 30 + "LICENSE": b"Free.\n",
}
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def manifest_of(files: dict[str, Path], /, **changes: object) -> BundleManifest:
    values: dict[str, object] = {
        "version": "1.2.3",
        "machine": "x86_64",
        "python": "3.12",
        "glibc": "2.28",
        "extras": ("daemon",),
        "engines": ("tiny",),
        "plans": (),
        "schema": 1,
        "installed_bytes": 1000,
        "created_at": "2026-11-27T08:00:00+00:00",
        "files": {name: describe_file(path) for name, path in files.items()},
    }
    return BundleManifest(**{**values, **changes})


def write(folder: Path, key: Ed25519PrivateKey = KEY, **changes: object) -> bytes:
    sources = {}
    for name, content in CONTENT.items():
        sources[name] = folder / "sources" / name
        sources[name].parent.mkdir(parents=True, exist_ok=True)
        sources[name].write_bytes(content)
    signed = manifest_of(sources, **changes).to_bytes()
    head = dict(zip(HEAD, (signed, key.sign(signed), public_pem(key)), strict=True))
    target = io.BytesIO()
    write_archive(target, head, sources, lambda count: None)
    return target.getvalue()


def read(path: Path, folder: Path | None = None) -> BundleManifest:
    with opened(path) as (file, verified):
        read_files(file, verified.manifest, folder, lambda count: None)
        return verified.manifest


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("bundle"))


def test_what_comes_out_is_what_went_in(bundle: bytes, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(bundle)
    manifest = read(tmp_path / "b", tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in CONTENT} == CONTENT
    assert manifest.name == "1.2.3-20261127080000-x86_64-py3.12"


def by_hand(folder: Path, content: bytes) -> subprocess.CompletedProcess[str]:
    """What `edged bundle create` tells an administrator to type, but for the last step, which runs start.sh."""
    file = folder / "site.bundle"
    file.write_bytes(content)
    steps = [line for line in RECIPE.format(file=file, digest="").splitlines() if line.startswith("  ")]
    assert steps.pop().startswith(f"  sh start.sh {file} --signed-by")
    return subprocess.run(["sh", "-ec", "\n".join(steps)], cwd=folder, capture_output=True, text=True, check=False)


def test_tools_that_linux_has_tell_who_made_it_and_whether_it_is_whole(bundle: bytes, tmp_path: Path) -> None:
    """An administrator needs nothing of ours to look inside, and runs nothing of it before."""
    done = by_hand(tmp_path, bundle)
    assert done.returncode == 0, done.stderr
    assert {name: (tmp_path / "site" / name).read_bytes() for name in CONTENT} == CONTENT
    digest, verdict = done.stdout.splitlines()
    assert digest == f"{fingerprint(public_pem(KEY)).replace('-', '')}  -"
    assert verdict == "Signature Verified Successfully"


def test_the_documents_say_the_same() -> None:
    text = Path(__file__).parents[2].joinpath("SECURITY.md").read_text()
    lines = RECIPE.format(file="/PATH/OF/THE/BUNDLE", digest="DIGEST").splitlines()
    steps = [line.strip() for line in lines if line.startswith("  ") and "# DIGEST" not in line]
    assert len(steps) == 5 and [step for step in steps if step not in text] == []


def test_they_name_the_file_that_is_damaged(bundle: bytes, tmp_path: Path) -> None:
    place = bundle.index(bytes(range(256)))
    done = by_hand(tmp_path, bundle[:place] + b"\xff" + bundle[place + 1 :])
    assert done.returncode and done.stdout.endswith("\nwheels/one-1.0-py3-none-any.whl: FAILED\n")


def test_they_refuse_a_manifest_that_was_changed(bundle: bytes, tmp_path: Path) -> None:
    done = by_hand(tmp_path, bundle.replace(b'"version": "1.2.3"', b'"version": "1.2.4"'))
    assert done.returncode and "Verification Failure" in done.stdout and "FAILED" not in done.stdout


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused(bundle: bytes, tmp_path: Path, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(bundle) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    (tmp_path / "b").write_bytes(bundle[:place] + bytes([bundle[place] ^ bit]) + bundle[place + 1 :])
    with pytest.raises(ArtefactError):
        read(tmp_path / "b")


def test_the_changed_file_is_named(bundle: bytes, tmp_path: Path) -> None:
    place = bundle.index(bytes(range(256)))
    (tmp_path / "b").write_bytes(bundle[:place] + b"\xff" + bundle[place + 1 :])
    with pytest.raises(ArtefactError, match=r"^wheels/one-1\.0-py3-none-any\.whl: SHA-256 differs"):
        read(tmp_path / "b")


@pytest.mark.parametrize("keep", [0, 1, 511, 512, 700, 3000, -1, -512, -1024, -1025])
def test_one_that_was_cut_off_is_refused(bundle: bytes, tmp_path: Path, keep: int) -> None:
    (tmp_path / "b").write_bytes(bundle[:keep])
    with pytest.raises(ArtefactError):
        read(tmp_path / "b")


def test_what_was_added_behind_is_refused(bundle: bytes, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(bundle + b"x")
    with pytest.raises(ArtefactError, match="something was added"):
        read(tmp_path / "b")


def test_another_key_is_another_publisher(bundle: bytes, tmp_path: Path) -> None:
    theirs = write(tmp_path, Ed25519PrivateKey.generate())
    (tmp_path / "b").write_bytes(theirs)
    with opened(tmp_path / "b") as (_, verified):
        assert verified.fingerprint != fingerprint(public_pem(KEY))


@pytest.mark.parametrize(
    "name", ["../etc/passwd", "/etc/passwd", "wheels/../../x", "", ".", "a//b", "a\\..\\b\n", "x" * 201]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    entry = describe_file(Path(__file__))
    signed = dataclasses.replace(manifest_of({}), files={name: entry}).to_bytes()
    with pytest.raises(ArtefactError, match="files"):
        parse_manifest(signed)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", "1; rm -rf /"),
        ("version", "../1"),
        ("machine", "riscv"),
        ("python", "3.12; true"),
        ("glibc", "2"),
        ("extras", ("daemon] @ http",)),
        ("engines", ("../x",)),
        ("created_at", "now/../x"),
        ("schema", 0),
        ("installed_bytes", -1),
    ],
)
def test_values_that_become_commands_or_paths_are_checked(key: str, value: object) -> None:
    with pytest.raises(ArtefactError, match=key):
        parse_manifest(manifest_of({}, **{key: value}).to_bytes())


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_manifest_or_an_error(data: bytes) -> None:
    with pytest.raises(ArtefactError):
        parse_manifest(data)


@given(head=st.binary(max_size=3000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_a_bundle_or_an_error(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "b").write_bytes(head)
    with pytest.raises(ArtefactError):
        read(tmp_path / "b")


def test_the_signing_key_is_made_once_and_private(tmp_path: Path) -> None:
    first = signing_key(tmp_path / "conf")
    assert public_pem(first) == public_pem(signing_key(tmp_path / "conf"))
    assert (tmp_path / "conf" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / "conf" / KEY_FILE).write_bytes(b"no key")
    with pytest.raises(EdgedError, match="move it away"):
        signing_key(tmp_path / "conf")
