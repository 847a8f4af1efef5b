"""A bundle on its way: made here, carried into a Debian without any network, installed, asked, replaced, taken back."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edged.bundle.archive import HEAD, opened, read_files, write_archive
from edged.bundle.signature import public_pem, signing_key
from tests.systemd.debian import EMBEDDED, SECONDS, Machine, require, run

ROOT = Path(__file__).resolve().parents[2]
EDGED = ROOT / ".venv/bin/edged"

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture(scope="module")
def made(folder: Path, machine: Machine) -> tuple[Path, str]:
    """A bundle for that machine, and the fingerprint that was printed."""
    python = machine.must("python3", "-c", "import sys; print('3.%d' % sys.version_info.minor)").strip()
    command = [EDGED, "bundle", "create", folder / "site.bundle", "--json", "--extra", "daemon,web"]
    environ = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
    done = subprocess.run(
        [*command, "--python-version", python],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "site.bundle", json.loads(done.stdout)["fingerprint"]


def newer(bundle: Path, folder: Path) -> Path:
    """The same content as of a second later, signed by the same key."""
    with opened(bundle) as (file, verified):
        read_files(file, verified.manifest, folder / "content", lambda count: None)
    moment = verified.manifest.created_at
    later = f"{moment[:17]}{(int(moment[17:19]) + 1) % 60:02}{moment[19:]}"
    signed = dataclasses.replace(verified.manifest, created_at=later).to_bytes()
    key = signing_key(folder / "config/edged")
    with (folder / "newer.bundle").open("xb") as target:
        head = dict(zip(HEAD, (signed, key.sign(signed), public_pem(key)), strict=True))
        sources = {name: folder / "content" / name for name in verified.manifest.files}
        write_archive(target, head, sources, lambda count: None)
    shutil.rmtree(folder / "content")
    return folder / "newer.bundle"


def test_the_sbom_is_cyclonedx_and_names_every_wheel(made: tuple[Path, str], folder: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with opened(made[0]) as (_, verified):
        files = list(verified.manifest.files)
    wheels = [name for name in files if name.endswith(".whl")]
    run("tar", "-xf", made[0], "-C", folder, "sbom.cdx.json")
    text = (folder / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    assert len([each for each in components if each["type"] == "library"]) == len(wheels) > 20
    assert {"smollm2-135m"} == {each["name"] for each in components if each["type"] == "machine-learning-model"}
    for each in components:  # some packages declare none, and bring the text alone
        assert each.get("licenses") or f"licences/{each['name']}/licenses-LICENSE" in files, each["name"]


def test_a_bundle_lives_without_a_network(made: tuple[Path, str], folder: Path, machine: Machine) -> None:
    require("unshare", "chroot")
    bundle, fingerprint = made
    shutil.copy(bundle, machine.folder / "site.bundle")
    machine.must("tar", "-xf", "/site.bundle", "start.sh")
    refused = machine.run("sh", "/start.sh", "/site.bundle", "--signed-by", "0" * 64)
    assert refused.returncode == 1 and fingerprint in refused.stderr and len(refused.stderr.splitlines()) == 1
    assert not machine.has("/opt/edged/current")

    said = machine.run("sh", "/start.sh", "/site.bundle", "--signed-by", fingerprint).stderr
    service = [line for line in said.splitlines() if line.startswith("  ") and "systemctl" not in line]
    machine.must("sh", "-ec", "\n".join(service))
    assert "edged:" in (machine.folder / "etc/passwd").read_text()
    machine.must("systemd-analyze", "verify", "/etc/systemd/system/edged.service")
    question = ("/opt/edged/bin/edged", "ask", "--json", "What is the capital of France? Answer in one word.")
    assert "paris" in json.loads(machine.must(*question))["text"].lower()
    assert machine.must("/opt/edged/current/venv/bin/python", "-c", EMBEDDED) == "True\n"

    shutil.copy(newer(bundle, folder), machine.folder / "site.bundle")
    before = (machine.folder / "opt/edged/current").readlink()
    machine.must("/opt/edged/bin/edged", "bundle", "install", "/site.bundle")  # the publisher is known by now
    assert (machine.folder / "opt/edged/current").readlink() != before
    assert "paris" in json.loads(machine.must(*question))["text"].lower()
    machine.must("/opt/edged/bin/edged", "bundle", "rollback")
    assert (machine.folder / "opt/edged/current").readlink() == before
    assert "paris" in json.loads(machine.must(*question))["text"].lower()


def test_a_flipped_byte_in_a_weight_is_named_and_changes_nothing(made: tuple[Path, str], folder: Path) -> None:
    content = bytearray(made[0].read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "flipped.bundle").write_bytes(content)
    command = [EDGED, "bundle", "install", folder / "flipped.bundle", "--prefix", folder / "opt"]
    done = subprocess.run(
        [*command, "--signed-by", made[1], "--python", sys.executable],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1 and "SHA-256 differs" in done.stderr and "Traceback" not in done.stderr
    assert list((folder / "opt/versions").iterdir()) == [] and not (folder / "opt/current").exists()
