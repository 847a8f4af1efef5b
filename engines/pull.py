"""Bring a checkpoint from a model hub to this machine: shown first, resumable, verified, and only on request.

Files gather in a hidden folder beside the destination, which takes its place when all of them are there and
are what the hub says they are. An interrupted pull leaves that folder, and the next one goes on from it.
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from edged.errors import CheckpointError, EdgedError, InvalidInput, NotFound, Unavailable, nearest

from . import hub
from .catalog import CATALOG
from .checkpoint.config import read_architecture, text_config
from .checkpoint.text_file import read_json
from .hub import RemoteFile, Repository
from .pulled import FILE_NAME, Pulled, PulledFile, read_pulled

DESCRIPTION = (
    *("config.json", "generation_config.json", "*processor_config.json", "quant*_config.json", "chat_template*"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt"),
    *("special_tokens_map.json", "added_tokens.json", "model.safetensors.index.json"),
)
"""What a folder holds besides its weights."""
PAPERS = ("README.md", "LICENSE*", "NOTICE*", "USE_POLICY*")
MAX_FILES = 500
"""The largest models come in some two hundred pieces."""
SPARE_BYTES = 64 * 1024 * 1024
"""What must stay free on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to bring, and where to."""

    repository: str
    """OWNER/NAME."""
    revision: str
    """A branch, tag or commit."""
    file: str | None
    """The one GGUF file to bring; None brings config, tokenizer and safetensors."""
    destination: Path


def pull(request: Request, say: Callable[[str], object]) -> Pulled:
    """Download what is missing, verify everything, and say what happens. Returns what pulled.json then holds.

    Raises NotFound, InvalidInput, Unavailable or CheckpointError; what has come intact is kept for the next time.
    """
    target = request.destination
    installed = _installed(target, request.repository)
    say(f"pull alone uses the network, only when asked to: now it asks {hub.address()}")
    repository = _describe(request)
    files = _choose(repository, request.file)
    if installed and installed.commit == repository.commit and _hold(target, installed, files):
        say(f"{target.name}: up to date ({target}, {installed.origin})")
        return installed
    with _staging(target) as stage:
        _clear(stage, files)
        waiting = [file for file in files if not _is_here(file, stage, target)]
        missing = sum(file.size - _begun(file, stage) for file in waiting)
        _show(request, repository, files, missing, say)
        if repository.gated and waiting and not hub.has_token():
            raise hub.gated(repository.name)
        _require_room(target, missing)
        _download(repository, waiting, stage)
        pulled = _pulled(request, repository, files, stage)
        pulled.write(stage)
        _install(stage, target)
    say(f"{target.name}: {len(files)} files verified, in {target}")
    return pulled


def _installed(target: Path, repository: str) -> Pulled | None:
    """What an earlier pull left; a folder of somebody else is left alone."""
    if not target.exists():
        return None
    try:
        pulled = read_pulled(target) if target.is_dir() else None
    except CheckpointError:
        pulled = None
    names = {path.name for path in target.iterdir()} if target.is_dir() else {target.name}
    if names and (pulled is None or pulled.repository != repository or names - set(pulled.files) - {FILE_NAME}):
        raise InvalidInput(f"{target} holds something else: remove it, or name another folder with --out")
    return pulled


def _describe(request: Request) -> Repository:
    try:
        return hub.describe(request.repository, request.revision)
    except NotFound as exc:
        if exc.field == "revision":  # of a repository that is there
            raise
        known = [entry.repository for entry in CATALOG.values() if entry.repository != request.repository]
        raise NotFound(f"{exc.message}{nearest(request.repository, known)}") from exc


def _choose(repository: Repository, wanted: str | None) -> list[RemoteFile]:
    """The files to bring: weights last, so that what is wrong with the others shows before."""
    named = {file.name: file for file in repository.files}
    top = [name for name in named if "/" not in name]
    weights = _folder_weights(repository, top) if wanted is None else [_gguf(repository, wanted)]
    patterns = PAPERS if wanted is not None else (*DESCRIPTION, *PAPERS)
    chosen = [name for name in top if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)] + weights
    if len(chosen) > MAX_FILES:
        raise CheckpointError(f"{repository.name}: {len(chosen)} files for one model: not pulled")
    return [hub.described(repository, named[name]) for name in chosen]


def _folder_weights(repository: Repository, names: list[str]) -> list[str]:
    """As transformers chooses: one file, else its pieces, else whatever there is."""
    weights = [name for name in names if name.endswith(".safetensors")]
    if not weights or "config.json" not in names:
        listed = _gguf_names(repository)
        hint = f"name one of its GGUF files with --file: {listed}" if listed else "edged reads no other kind"
        raise NotFound(f"{repository.name} has no config.json with *.safetensors: {hint}")
    if "model.safetensors" in weights:
        return ["model.safetensors"]
    return [name for name in weights if name.startswith("model-")] or weights


def _gguf(repository: Repository, wanted: str) -> str:
    names = {file.name for file in repository.files}
    if wanted not in names or not wanted.endswith(".gguf"):
        listed = _gguf_names(repository) or "none"
        raise NotFound(f"{repository.name} has no GGUF file {wanted[:100]!r}; it has: {listed}")
    if re.search(r"-\d{5}-of-\d{5}\.gguf$", wanted):
        raise InvalidInput(f"{wanted} is one piece of several: edged reads GGUF files that are whole")
    return wanted


def _gguf_names(repository: Repository) -> str:
    names = [file.name for file in repository.files if file.name.endswith(".gguf")]
    return ", ".join([*names[:12], *(["..."] if len(names) > 12 else [])])


def _show(
    request: Request, repository: Repository, files: list[RemoteFile], missing: int, say: Callable[[str], object]
) -> None:
    """What is about to happen, before it does."""
    size = sum(file.size for file in files)
    here = f", {_mb(size - missing)} of them here already" if missing < size else ""
    gated = f" (gated: to be accepted at {repository.page})" if repository.gated else ""
    say(f"repository  {repository.page}")
    say(f"commit      {repository.commit} ({request.revision})")
    say(f"licence     {repository.license}{gated}")
    say(f"size        {_mb(size)} in {len(files)} files{here}")
    say(f"disk        {_mb(_free(request.destination))} free for {request.destination}")


def _require_room(target: Path, missing: int) -> None:
    if missing + SPARE_BYTES > (free := _free(target)):
        raise InvalidInput(
            f"{_mb(missing)} are still to come and {target.parent} has {_mb(free)} free: "
            "make room, or name a folder on another disk with --out"
        )


def _download(repository: Repository, files: Iterable[RemoteFile], stage: Path) -> None:
    """Each file into its .part, verified, then under its name."""
    files = list(files)
    begun = sum(_begun(file, stage) for file in files)
    with tqdm(
        total=sum(file.size for file in files),
        initial=begun,
        desc=repository.name,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None,
    ) as bar:
        for file in files:
            part = _part(file, stage)
            try:
                hub.download(repository, file, part, bar.update)
                _require_intact(file, part)
                part.rename(stage / file.base_name)
            except OSError as exc:
                raise _disk_error(exc, stage) from exc
            if file.name == "config.json":
                read_architecture(text_config(read_json(stage / file.name)))  # before gigabytes come in vain


def _require_intact(file: RemoteFile, part: Path) -> None:
    """Raise CheckpointError and delete what is not the file that the hub described."""
    with part.open("rb") as written:
        os.fsync(written.fileno())
    if not _is_intact(file, part):
        part.unlink()
        raise CheckpointError(f"{file.name}: came damaged (its hash is not the hub's) and was deleted: pull again")


def _disk_error(exc: OSError, stage: Path) -> EdgedError:
    if exc.errno == errno.ENOSPC:
        return Unavailable(f"{stage.parent}: the disk is full: make room and pull again, what has come is kept")
    return Unavailable(f"{stage.parent}: {exc.strerror}: pull again, what has come is kept")


def _is_here(file: RemoteFile, stage: Path, target: Path) -> bool:
    """Whether the file need not come: it is staged, or an earlier pull has it and it is staged from there."""
    staged = stage / file.base_name
    if _is_intact(file, staged):
        return True
    staged.unlink(missing_ok=True)
    if not _is_intact(file, target / file.base_name):
        return False
    try:
        staged.hardlink_to(target / file.base_name)
    except OSError:  # a file system without links: it comes again
        return False
    return True


def _is_intact(file: RemoteFile, path: Path) -> bool:
    """Whether the file has the size and the hash that the hub gave, as far as it gave one."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    if file.sha256:
        return _sha256(path) == file.sha256
    if file.blob_id:
        with path.open("rb") as opened:
            header = b"blob %d\0" % file.size
            git = hashlib.file_digest(opened, lambda: hashlib.sha1(header, usedforsecurity=False))
        return git.hexdigest() == file.blob_id
    return True


def _hold(target: Path, installed: Pulled, files: list[RemoteFile]) -> bool:
    names = {file.base_name for file in files}
    return names == set(installed.files) and all(_is_intact(file, target / file.base_name) for file in files)


def _part(file: RemoteFile, stage: Path) -> Path:
    """Named after the content too: the beginning of another version is no beginning of this one."""
    return stage / f"{file.base_name}.{file.digest[:12]}.part"


def _begun(file: RemoteFile, stage: Path) -> int:
    """Bytes of the file that an interrupted pull left."""
    part = _part(file, stage)
    return part.stat().st_size if part.exists() else 0


def _clear(stage: Path, files: list[RemoteFile]) -> None:
    """Remove what an interrupted pull of another version left."""
    wanted = {file.base_name for file in files} | {_part(file, stage).name for file in files}
    for path in stage.iterdir():
        if path.name not in wanted:
            path.unlink()


def _pulled(request: Request, repository: Repository, files: list[RemoteFile], stage: Path) -> Pulled:
    return Pulled(
        repository=repository.name,
        revision=request.revision,
        commit=repository.commit,
        license=repository.license,
        files={
            file.base_name: PulledFile(bytes=file.size, sha256=file.sha256 or _sha256(stage / file.base_name))
            for file in files
        },
    )


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """The folder where files gather, for one pull at a time; it stays only when something is in it."""
    stage = target.with_name(f".{target.name}.pulling")
    try:
        stage.mkdir(parents=True, exist_ok=True)
        lock = os.open(stage, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise Unavailable(f"{target}: another pull is at work there") from exc
    except OSError as exc:
        raise InvalidInput(f"{stage.parent}: cannot be written: {exc.strerror}") from exc
    try:
        yield stage
    finally:
        if stage.exists() and not any(stage.iterdir()):
            stage.rmdir()
        os.close(lock)


def _install(stage: Path, target: Path) -> None:
    """Put the finished folder in its place."""
    old = target.with_name(f".{target.name}.pulled-before")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    stage.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _free(target: Path) -> int:
    """Bytes free where the target will be."""
    return shutil.disk_usage(next(parent for parent in target.absolute().parents if parent.exists())).free


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
