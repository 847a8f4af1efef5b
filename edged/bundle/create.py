"""Making a bundle, on a machine that has a package index."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from edged import __version__
from edged.bundle.archive import HEAD, Progress, Verified, write_archive
from edged.bundle.inventory import licence_texts, sbom
from edged.bundle.manifest import BundleManifest, Compiled
from edged.bundle.signature import public_pem, signing_key
from edged.bundle.wheelhouse import CHECKOUT, collect_wheels, oldest_glibc, unpacked_bytes
from edged.engine.installed import find_engine, verify_engine
from edged.engine.manifest import FILE_NAME, Manifest, describe_file
from edged.errors import AlreadyExists, InvalidInput
from edged.store.migrations import MIGRATIONS

SERVICE_FILES = ("edged.service", "edged.sysusers", "edged.tmpfiles", "backoff.conf", "README.md")
START = "start.sh"
"""Installs the bundle where there is no edged yet."""


def create_bundle(
    target: Path,
    *,
    machine: str,
    python: str,
    extras: Sequence[str],
    engines: Sequence[str],
    engine_directories: Sequence[Path],
    key_directory: Path,
    say: Callable[[str], None],
    progress: Callable[[int], Progress],
) -> Verified:
    """Write the bundle to a file that does not exist yet.

    say: told what takes long. progress: given the bytes to write, returns what is told of each piece.
    Raises AlreadyExists, NotFound for an engine, ArtefactError, InvalidInput, StoreError.
    """
    if target.exists():
        raise AlreadyExists(f"{target} exists already", resource=("file", str(target)))
    if not target.parent.is_dir():
        raise InvalidInput(f"{target.parent} is not a folder")
    folders = {name: find_engine(engine_directories, name) for name in engines}
    key = signing_key(key_directory)
    with tempfile.TemporaryDirectory(prefix=".edged-", dir=target.parent) as scratch:
        wheels_folder = Path(scratch) / "wheels"
        say(f"collecting the wheels for Python {python} on {machine}, from the package index ...")
        collect_wheels(wheels_folder, machine=machine, python=python, extras=extras)
        wheels = sorted(wheels_folder.glob("*.whl"))
        say("reading engines and licences ...")
        manifests = {name: verify_engine(folder) for name, folder in folders.items()}
        sources = _service_files() | {f"wheels/{wheel.name}": wheel for wheel in wheels}
        sources |= _written(Path(scratch) / "written", wheels, manifests)
        for name, engine in manifests.items():
            sources |= {f"engines/{name}/{file}": folders[name] / file for file in (FILE_NAME, *engine.files)}
        files = {name: describe_file(source) for name, source in sources.items()}
        manifest = BundleManifest(
            version=__version__,
            machine=machine,
            python=python,
            glibc=oldest_glibc(wheels),
            extras=tuple(extras),
            engines=tuple(engines),
            plans=_plans(manifests),
            schema=len(MIGRATIONS),
            installed_bytes=unpacked_bytes(wheels) + sum(each.disk_bytes for each in manifests.values()),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            files=files,
        )
        signed, publisher = manifest.to_bytes(), public_pem(key)
        head = dict(zip(HEAD, (signed, key.sign(signed), publisher), strict=True))
        draft = Path(scratch) / "bundle"
        with draft.open("xb") as file:
            write_archive(file, head, sources, progress(sum(entry.bytes for entry in files.values())))
        draft.rename(target)
    return Verified(manifest, publisher, target.stat().st_size)


def _service_files() -> dict[str, Path]:
    systemd = CHECKOUT / "systemd"
    drop_ins = sorted((systemd / "edged.service.d").glob("*.conf"))
    files = {START: Path(__file__).with_name(START)}
    files |= {f"systemd/{name}": systemd / name for name in SERVICE_FILES}
    return files | {f"systemd/edged.service.d/{path.name}": path for path in drop_ins}


def _written(folder: Path, wheels: Sequence[Path], engines: Mapping[str, Manifest]) -> dict[str, Path]:
    """The SBOM and the licences, as files."""
    texts = {"sbom.cdx.json": sbom(wheels, engines).encode()}
    texts |= {f"licences/{name}": text for name, text in licence_texts(wheels)}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    return {name: folder / name for name in texts}


def _plans(engines: Mapping[str, Manifest]) -> tuple[Compiled, ...]:
    found = {
        (name, plan.target, plan.builder): Compiled(engine=name, target=plan.target, builder=plan.builder)
        for name, manifest in engines.items()
        for plan in manifest.plans
    }
    return tuple(found.values())
