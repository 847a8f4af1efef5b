"""Versions beside each other: the one to go back to is not lost, nor gone back to where it cannot read what is kept."""

from __future__ import annotations

import dataclasses
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from edged.bundle import install
from edged.bundle.create import START
from edged.bundle.install import install_bundle, roll_back
from edged.bundle.manifest import BundleManifest
from edged.cli import main
from edged.errors import AlreadyExists, ArtefactError, StoreError
from edged.store.migrations import MIGRATIONS
from tests.bundle.test_bundle_archive import CONTENT, manifest_of, write

HERE = {"machine": platform.machine(), "python": f"3.{sys.version_info.minor}", "glibc": "2.17", "engines": ()}
OLDER = manifest_of({}, **HERE)
NEWER = dataclasses.replace(OLDER, created_at="2026-11-27T09:00:00+00:00", schema=2)


def installed(prefix: Path, *manifests: BundleManifest) -> None:
    """One after the other, each a program that starts."""
    for manifest in manifests:
        folder = prefix / "versions" / manifest.name
        program = folder / "venv/bin/edged"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        (folder / "schema").write_text(f"{manifest.schema}\n")
        install._make_current(prefix, folder)


def install_from(bundle: bytes, prefix: Path, stored_schema: int | None = None) -> BundleManifest:
    (prefix / "site.bundle").write_bytes(bundle)
    return install_bundle(
        prefix / "site.bundle",
        prefix,
        python=Path(sys.executable),
        stored_schema=stored_schema,
        trust=lambda verified: True,
        progress=lambda total: lambda count: None,
        say=lambda line: None,
    )


def flipped(bundle: bytes) -> bytes:
    """With one byte of the wheel changed."""
    place = bundle.index(CONTENT["wheels/one-1.0-py3-none-any.whl"])
    return bundle[:place] + b"\xff" + bundle[place + 1 :]


@pytest.fixture
def newer(tmp_path: Path) -> bytes:
    return write(tmp_path, **HERE, created_at=NEWER.created_at, schema=NEWER.schema)


def test_a_damaged_bundle_leaves_the_version_to_go_back_to(newer: bytes, tmp_path: Path) -> None:
    installed(tmp_path, OLDER, NEWER)
    assert roll_back(tmp_path, None) == OLDER.name
    with pytest.raises(ArtefactError, match=r"^wheels/one-1\.0-py3-none-any\.whl: SHA-256 differs"):
        install_from(flipped(newer), tmp_path)
    assert roll_back(tmp_path, None) == NEWER.name
    assert (tmp_path / "current/venv/bin/edged").exists()


def test_a_whole_bundle_of_the_version_before_makes_it_current_again(newer: bytes, tmp_path: Path) -> None:
    installed(tmp_path, OLDER, NEWER)
    roll_back(tmp_path, None)
    assert install_from(newer, tmp_path).name == NEWER.name
    assert [(tmp_path / link).resolve().name for link in ("current", "previous")] == [NEWER.name, OLDER.name]
    with pytest.raises(AlreadyExists, match="installed and current"):
        install_from(newer, tmp_path)


def test_a_damaged_new_version_leaves_nothing(newer: bytes, tmp_path: Path) -> None:
    installed(tmp_path, OLDER)
    with pytest.raises(ArtefactError, match="SHA-256 differs"):
        install_from(flipped(newer), tmp_path)
    assert [folder.name for folder in (tmp_path / "versions").iterdir()] == [OLDER.name]


@pytest.mark.parametrize("stored", [None, 0, 1])
def test_what_the_version_before_can_read_is_no_obstacle(tmp_path: Path, stored: int | None) -> None:
    installed(tmp_path, OLDER, NEWER)
    assert roll_back(tmp_path, stored) == OLDER.name


def test_a_version_that_cannot_read_the_conversations_is_refused_before_anything_changes(tmp_path: Path) -> None:
    installed(tmp_path, OLDER, NEWER)
    with pytest.raises(StoreError, match=rf"^{re.escape(OLDER.name)} cannot read .*\(`edged restore FILE`\)"):
        roll_back(tmp_path, 2)
    assert (tmp_path / "current").resolve().name == NEWER.name
    with pytest.raises(StoreError, match="cannot read"):
        install_from(write(tmp_path, **HERE), tmp_path, stored_schema=2)
    assert (tmp_path / "current").resolve().name == NEWER.name


def test_the_command_looks_into_the_database_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edged.config import load_config
    from edged.daemon.database import key_source
    from edged.store.store import ConversationStore

    for key, value in {"EDGED_STATE_DIR": tmp_path / "state", "EDGED_STORE__KEY": "file", "HOME": tmp_path}.items():
        monkeypatch.setenv(key, str(value))
    config = load_config()
    ConversationStore.open(config.paths.state, key_source(config, "")).close()
    installed(tmp_path, OLDER, dataclasses.replace(NEWER, schema=len(MIGRATIONS)))
    done = CliRunner().invoke(main, ["bundle", "rollback", "--prefix", str(tmp_path)])
    assert done.exit_code == 1 and "cannot read the conversations" in done.output
    config.database.unlink()
    done = CliRunner().invoke(main, ["bundle", "rollback", "--prefix", str(tmp_path)])
    assert done.exit_code == 0 and OLDER.name in done.output


@pytest.mark.parametrize("is_damaged", [True, False])
def test_the_first_step_runs_no_wheel_that_is_damaged(newer: bytes, tmp_path: Path, is_damaged: bool) -> None:
    """What is whole here is no Python package, so that pip's own complaint shows that it was reached."""
    (tmp_path / "site.bundle").write_bytes(flipped(newer) if is_damaged else newer)
    start = Path(install.__file__).with_name(START)
    done = subprocess.run(
        ["sh", start, "site.bundle"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode
    named = (
        done.stderr
        == "wheels/one-1.0-py3-none-any.whl: SHA-256 differs from the manifest's: damaged or tampered with\n"
    )
    assert named is is_damaged
    assert ("pip" in done.stderr) is not is_damaged
