"""Engines on disk: find, list, import, export, verify, remove.

An engine is a folder `<engines directory>/<name>` with a manifest; the folder's name is the engine's.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edged.engine.manifest import FILE_NAME, Manifest, file_names, is_engine_name, read_manifest, verify_files
from edged.errors import AlreadyExists, ArtefactError, InvalidInput, NotFound, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledEngine:
    """An engine and where it lies."""

    name: str
    folder: Path
    manifest: Manifest


def installed_engines(directories: Sequence[Path]) -> list[InstalledEngine]:
    """Every engine that can be read, by name; the first directory wins. Torn ones are left out."""
    found = {}
    for name, folder in _folders(directories).items():
        try:
            found[name] = InstalledEngine(name=name, folder=folder, manifest=read_manifest(folder))
        except ArtefactError:
            continue  # `verify_engine` and loading it say what is wrong
    return [found[name] for name in sorted(found)]


def find_engine(directories: Sequence[Path], name: str) -> Path:
    """Folder of an engine. Raises NotFound naming the nearest one."""
    folders = _folders(directories)
    if name not in folders:
        hint = nearest(name, folders)
        raise NotFound(
            f"no engine {name[:60]!r} is installed{hint}; `edged models list` shows what is",
            resource=("engine", name[:60]),
        )
    return folders[name]


def verify_engine(folder: Path) -> Manifest:
    """Read every file and compare its hash. Raises ArtefactError naming the file that differs."""
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    return manifest


def import_engine(source: Path, directory: Path) -> InstalledEngine:
    """Copy an engine from a folder or a tar file into an engines directory, as the name its manifest gives.

    Every file is verified before it appears under its name. Raises ArtefactError, AlreadyExists, NotFound.
    """
    if not source.exists():
        raise NotFound(f"{source} does not exist", resource=("engine", str(source)))
    with _aside(directory) as copy:
        if source.is_dir():
            _copy_listed(source, copy)
        else:
            _extract(source, copy)
        manifest = _verify_copy(copy, source)
        if extra := file_names(copy) - set(manifest.files):
            raise ArtefactError(f"{source}: {min(extra)[:100]!r} is not in its manifest")
        target = directory / manifest.name
        if target.exists():
            raise AlreadyExists(
                f"an engine {manifest.name!r} is installed already; `edged models rm {manifest.name}` removes it",
                resource=("engine", manifest.name),
            )
        copy.rename(target)
    return InstalledEngine(name=manifest.name, folder=target, manifest=manifest)


def export_engine(folder: Path, target: Path) -> None:
    """Write an engine as a tar file that `import_engine` reads. Raises ArtefactError, AlreadyExists."""
    manifest = verify_engine(folder)
    if target.exists():
        raise AlreadyExists(f"{target} exists already", resource=("file", str(target)))
    if not target.parent.is_dir():
        raise NotFound(f"{target.parent} is not a folder", resource=("folder", str(target.parent)))
    with _aside(target.parent) as scratch:
        packed = scratch / "engine.tar"
        with tarfile.open(packed, "x") as tar:
            for name in (FILE_NAME, *manifest.files):
                tar.add(folder / name, arcname=f"{folder.name}/{name}", recursive=False, filter=_anonymous)
        packed.rename(target)


def remove_engine(state_engines: Path, name: str) -> None:
    """Delete an engine that was imported into the state directory. Raises NotFound, InvalidInput."""
    folder = state_engines / name
    if not is_engine_name(name) or not folder.is_dir():
        raise NotFound(
            f"no engine {name[:60]!r} in {state_engines}; only imported engines can be removed, "
            "the folders of others are yours to delete",
            resource=("engine", name[:60]),
        )
    if folder.is_symlink():
        raise InvalidInput(f"{folder} is a link; delete it yourself if you mean it", field="name")
    with _aside(state_engines) as trash:
        folder.rename(trash / name)


def _folders(directories: Sequence[Path]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for directory in directories:
        for folder in sorted(directory.iterdir()) if directory.is_dir() else ():
            if is_engine_name(folder.name) and (folder / FILE_NAME).is_file():
                folders.setdefault(folder.name, folder)
    return folders


@contextmanager
def _aside(directory: Path) -> Iterator[Path]:
    """A hidden folder on the same file system, gone afterwards unless it was renamed."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".edged-", dir=directory))
    except OSError as exc:
        raise ArtefactError(f"{directory}: cannot be written: {exc.strerror}") from exc
    try:
        scratch.chmod(0o755)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _verify_copy(copy: Path, source: Path) -> Manifest:
    """Errors name what the user knows, not the folder aside."""
    try:
        return verify_engine(copy)
    except ArtefactError as exc:
        raise ArtefactError(exc.message.replace(str(copy), str(source))) from exc


def _copy_listed(source: Path, copy: Path) -> None:
    for name in (FILE_NAME, *read_manifest(source).files):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copy / name)


def _extract(archive: Path, copy: Path) -> None:
    """Unpack the plain files of a tar, without the folder they lie in."""
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                _extract_member(tar, member, archive, copy)
    except (tarfile.TarError, EOFError, OSError) as exc:
        raise ArtefactError(f"{archive}: not a readable tar file: {str(exc)[:200]}") from exc


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path, copy: Path) -> None:
    if member.isdir():
        return
    parts = Path(member.name).parts
    if not member.isfile() or member.issparse() or member.name.startswith("/") or ".." in parts or len(parts) < 2:
        raise ArtefactError(f"{archive}: refusing to unpack {member.name[:100]!r}: not a file inside the engine")
    content = tar.extractfile(member)
    assert content is not None
    path = copy.joinpath(*parts[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file, 1024 * 1024)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Who owned the file is nobody's business."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
