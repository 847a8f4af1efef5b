"""Installing a bundle beside the version that runs, and going back.

PREFIX/versions/NAME/{venv,engines,systemd,licences,sbom.cdx.json,schema,publisher.pem}
PREFIX/current -> versions/NAME        what PREFIX/bin/edged runs
PREFIX/previous -> versions/NAME       what `roll_back` makes the current one
PREFIX/publisher.pem                   whose bundles are taken without asking again
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.bundle.archive import Progress, Verified, opened, read_files
from edged.bundle.machine_check import check_machine, is_system_tensorrt
from edged.bundle.manifest import BundleManifest
from edged.bundle.signature import fingerprint
from edged.engine.gpu import find_gpus
from edged.errors import AlreadyExists, ArtefactError, InvalidInput, NotFound, StoreError

LAUNCHER = """#!/bin/sh
# Runs the current version; `edged bundle rollback` goes back to the one before.
here="$(dirname "$(dirname "$(readlink -f "$0")")")"
export EDGED_ENGINES_DIR="${EDGED_ENGINES_DIR:-$here/current/engines}"
exec "$here/current/venv/bin/edged" "$@"
"""
SCHEMA = "schema"
"""A file in the folder of a version: the newest layout of the database that it can read."""
PUBLISHER = "publisher.pem"
"""A file in the folder of a version, too: the key that signed it."""
SECONDS = 900
"""Longest that one step of pip, or trying the result, may take on a slow disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledBundle:
    """What is left of a bundle to tell it from others: `edged --version` may be the same for both."""

    name: str
    made: str
    """UTC, to the minute."""
    fingerprint: str | None
    """Of the key that signed it; None where an edged installed it that did not keep it."""


def verify_bundle(path: Path, progress: Callable[[int], Progress]) -> Verified:
    """Compare every byte with what was signed. Raises ArtefactError naming what differs."""
    with opened(path) as (file, verified):
        read_files(file, verified.manifest, None, progress(_content_bytes(verified.manifest)))
        return verified


def install_bundle(
    path: Path,
    prefix: Path,
    *,
    python: Path,
    stored_schema: int | None,
    trust: Callable[[Verified], bool],
    progress: Callable[[int], Progress],
    say: Callable[[str], None],
) -> BundleManifest:
    """Verify, check the machine, unpack, try, and only then make it the current version.

    stored_schema: of the database it will be used with, None where that is not known.
    trust: whether a publisher may be believed whose bundles were not installed here before.
    Raises ArtefactError, InvalidInput, AlreadyExists, StoreError; what ran before runs on then.
    """
    with opened(path) as (file, verified):
        manifest = verified.manifest
        folder = prefix / "versions" / manifest.name
        current, previous = ((prefix / link).resolve() for link in ("current", "previous"))
        if folder.exists() and current == folder.resolve():
            raise AlreadyExists(f"{manifest.name} is installed and current", resource=("version", manifest.name))
        _check_publisher(prefix, verified, trust)
        check_machine(manifest, prefix, python, find_gpus())
        _check_schema(manifest.name, manifest.schema, stored_schema)
        is_kept = folder.is_dir() and previous == folder.resolve()
        try:
            if is_kept:  # what can be gone back to is not touched
                say("comparing every byte with what was signed ...")
                read_files(file, manifest, None, progress(_content_bytes(manifest)))
            else:
                shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was cut off
                folder.mkdir(parents=True)
                say("unpacking, and comparing every byte with what was signed ...")
                read_files(file, manifest, folder, progress(_content_bytes(manifest)))
                say("installing ...")
                _make_environment(folder, manifest, python)
                (folder / SCHEMA).write_text(f"{manifest.schema}\n", encoding="ascii")
            _try(folder, manifest)
            _make_current(prefix, folder)
        except OSError as exc:
            raise InvalidInput(f"{exc.filename or prefix} cannot be written: {exc.strerror}") from exc
        finally:
            if not is_kept and (prefix / "current").resolve() != folder.resolve():
                shutil.rmtree(folder, ignore_errors=True)
        for kept in (folder, prefix):
            (kept / PUBLISHER).write_bytes(verified.publisher)
    _forget_old_versions(prefix)
    return manifest


def roll_back(prefix: Path, stored_schema: int | None) -> str:
    """Make the previous version the current one, and the other way round. Returns its name.

    stored_schema: see `install_bundle`. Raises NotFound, StoreError.
    """
    current, previous = prefix / "current", prefix / "previous"
    if not (current.is_symlink() and previous.is_symlink() and previous.is_dir()):
        raise NotFound(f"{prefix} has no previous version to go back to", resource=("version", "previous"))
    old, new = current.readlink(), previous.readlink()
    if (previous / SCHEMA).is_file():
        _check_schema(new.name, int((previous / SCHEMA).read_text(encoding="ascii")), stored_schema)
    _point(current, new)
    _point(previous, old)
    return new.name


def installed_bundles(prefix: Path) -> Mapping[str, InstalledBundle]:
    """What is "current" and what "previous", as far as there are such. Raises ArtefactError for a key that is none."""
    folders = {link: (prefix / link).resolve() for link in ("current", "previous") if (prefix / link).is_dir()}
    return {link: _installed(folder) for link, folder in folders.items()}


def _installed(folder: Path) -> InstalledBundle:
    moment = folder.name.split("-")[1]  # of the name, see BundleManifest
    signer = folder / PUBLISHER
    return InstalledBundle(
        name=folder.name,
        made=f"{moment[:4]}-{moment[4:6]}-{moment[6:8]} {moment[8:10]}:{moment[10:12]}",
        fingerprint=fingerprint(signer.read_bytes()) if signer.is_file() else None,
    )


def _check_schema(name: str, newest: int, stored: int | None) -> None:
    """A database only ever goes forward: an older version refuses it at its start."""
    if stored is not None and stored > newest:
        raise StoreError(
            f"{name} cannot read the conversations, which a newer edged has changed: move edged.db away, try "
            "again, then put back a backup that was made before that (`edged restore FILE`)"
        )


def _check_publisher(prefix: Path, verified: Verified, trust: Callable[[Verified], bool]) -> None:
    known = prefix / PUBLISHER
    if known.is_file() and known.read_bytes() == verified.publisher:
        return
    if not trust(verified):
        installed = (
            f"; what is installed here was signed by {fingerprint(known.read_bytes())}" if known.is_file() else ""
        )
        raise InvalidInput(
            f"the bundle was signed by {verified.fingerprint}{installed}: "
            f"compare that with what its maker tells you, then add --signed-by {verified.fingerprint}"
        )


def _make_environment(folder: Path, manifest: BundleManifest, python: Path) -> None:
    """A virtual environment of exactly the bundle's wheels; they are not needed afterwards."""
    wheels = sorted((folder / "wheels").glob("*.whl"))
    pip = next((wheel for wheel in wheels if wheel.name.startswith("pip-")), None)
    if pip is None:
        raise ArtefactError("the bundle has no pip: make it again")
    if any(wheel.name.startswith("onnxruntime_gpu-") for wheel in wheels):  # the same Python package, and more
        wheels = [wheel for wheel in wheels if not wheel.name.startswith("onnxruntime-")]
    # TensorRT itself, which JetPack and data centres install, is no wheel.
    shared = ["--system-site-packages"] if any(is_system_tensorrt(plan) for plan in manifest.plans) else []
    _run([python, "-m", "venv", "--without-pip", *shared, folder / "venv"])
    quiet = ["--quiet", "--disable-pip-version-check", "--no-cache-dir", "--root-user-action=ignore"]
    exactly = ["--no-index", "--no-deps", "--ignore-installed"]
    _run([folder / "venv/bin/python", pip / "pip", "install", *quiet, *exactly, *wheels])
    shutil.rmtree(folder / "wheels")


def _try(folder: Path, manifest: BundleManifest) -> None:
    """Does it start, and read its engines?"""
    program = folder / "venv/bin/edged"
    _run([program, "--version"])
    if manifest.engines:
        _run(["env", f"EDGED_ENGINES_DIR={folder / 'engines'}", program, "models", "verify", *manifest.engines])


def _make_current(prefix: Path, folder: Path) -> None:
    current = prefix / "current"
    if current.is_symlink():
        _point(prefix / "previous", current.readlink())
    _point(current, Path("versions") / folder.name)
    launcher = prefix / "bin/edged"
    launcher.parent.mkdir(exist_ok=True)
    launcher.write_text(LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)


def _point(link: Path, target: Path) -> None:
    """Change a symbolic link in one step: there is no moment without a version."""
    draft = link.with_name(f".{link.name}.new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)


def _forget_old_versions(prefix: Path) -> None:
    kept = {(prefix / name).resolve() for name in ("current", "previous")}
    for folder in (prefix / "versions").iterdir():
        if folder.resolve() not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(
        ["env", "-u", "PYTHONPATH", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().rpartition("\n")[2][:300]
        raise ArtefactError(f"the new version does not work, so nothing was changed: {reason}")


def _content_bytes(manifest: BundleManifest) -> int:
    return sum(entry.bytes for entry in manifest.files.values())
