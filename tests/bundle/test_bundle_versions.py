"""Versions beside each other: the one to go back to is not lost, nor gone back to where it cannot read what is kept."""

from __future__ import annotations

import dataclasses
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from edged.bundle import install
from edged.bundle.create import START
from edged.bundle.install import install_bundle, roll_back
from edged.bundle.manifest import BundleManifest
from edged.bundle.signature import fingerprint, public_pem
from edged.bundle.wheelhouse import CHECKOUT
from edged.cli import main
from edged.errors import AlreadyExists, ArtefactError, StoreError
from edged.store.migrations import MIGRATIONS
from tests.bundle.test_bundle_archive import CONTENT, KEY, manifest_of, write

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
        (folder / "publisher.pem").write_bytes(public_pem(KEY))
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


def called(*arguments: str | Path) -> str:
    done = CliRunner().invoke(main, ["bundle", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def two(newer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix with both versions, the older one current, and the newer one's bundle beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGED_STATE_DIR", str(tmp_path / "state"))
    prefix = tmp_path / "opt"
    installed(prefix, OLDER, NEWER)
    roll_back(prefix, None)
    (tmp_path / "site.bundle").write_bytes(newer)
    return prefix


def test_every_command_says_which_bundle_is_current_and_which_can_be_gone_back_to(two: Path) -> None:
    bundle, signer = two.with_name("site.bundle"), fingerprint(public_pem(KEY))
    older, later = (
        f"{manifest.name}, made {when} UTC, signed by {signer}\n"
        for manifest, when in ((OLDER, "2026-11-27 08:00"), (NEWER, "2026-11-27 09:00"))
    )
    assert f"current: {older}previous: {later}" in called("verify", bundle, "--prefix", two)
    assert f"current: {later}previous: {older}" in called("install", bundle, "--prefix", two, "--signed-by", signer)
    assert f"current: {older}previous: {later}" in called("rollback", "--prefix", two)
    (two / "previous/publisher.pem").unlink()  # as versions were installed at first
    told = json.loads(called("verify", bundle, "--prefix", two, "--json"))
    assert told["current"] == {"name": OLDER.name, "made": "2026-11-27 08:00", "fingerprint": signer}
    assert told["previous"] == {"name": NEWER.name, "made": "2026-11-27 09:00", "fingerprint": None}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_what_install_says_of_the_service_gives_a_unit_that_starts_this_program(two: Path) -> None:
    shutil.copytree(CHECKOUT / "systemd", two / "previous/systemd")
    said = called("install", two.with_name("site.bundle"), "--prefix", two, "--signed-by", fingerprint(public_pem(KEY)))
    etc = two.with_name("etc")
    (etc / "systemd/system").mkdir(parents=True)
    commands = [line for line in said.splitlines() if line.startswith(("  install ", "  sed "))]
    script = "\n".join(commands).replace("/etc/", f"{etc}/").replace("/usr/share/doc", f"{etc}/doc")
    subprocess.run(["sh", "-ec", script], check=True)
    unit = etc / "systemd/system/edged.service"
    assert f"ExecStart={two}/bin/edged serve\n" in unit.read_text()
    assert {path.name for path in etc.rglob("edged.conf")} and (etc / "doc/edged/service.md").is_file()
    subprocess.run(["systemd-analyze", "verify", unit], check=True)


def test_a_program_in_a_home_is_none_for_a_service_which_sees_no_homes(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(two.parent))
    signer = fingerprint(public_pem(KEY))
    assert "systemctl" not in called("install", two.with_name("site.bundle"), "--prefix", two, "--signed-by", signer)


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
