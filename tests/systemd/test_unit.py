"""The service as systemd itself judges it, and the account it runs under."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from edged.config import SECTIONS, load_config
from edged.daemon.secret import read_secret
from edged.privacy.egress import MDNS_PORT, egress_of

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
UNIT = FOLDER / "edged.service"
MAX_EXPOSURE = 1.6


def settings() -> dict[str, list[str]]:
    """Every assignment of [Service], in order; systemd lets a key come again."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").partition("[Service]")[2].splitlines():
        if re.match("[A-Z]", line):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def analyze(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """path: where it finds programs; by default as this test does."""
    program = shutil.which("systemd-analyze")
    if not program:
        pytest.skip("systemd-analyze is not installed (package systemd)")
    environ = os.environ if path is None else {**os.environ, "PATH": path}
    return subprocess.run([program, *arguments], env=environ, capture_output=True, text=True, check=False)


def test_the_unit_is_a_notifying_service_that_reaches_nothing() -> None:
    service = settings()
    assert service["Type"] == ["notify"]
    assert service["ExecStart"] == ["/usr/bin/edged serve"]
    assert service["IPAddressDeny"] == ["any"]
    assert service["IPAddressAllow"] == ["localhost"]
    assert int(service["TimeoutStopSec"][0]) > SECTIONS["daemon"]().drain_seconds
    assert "MemoryDenyWriteExecute" not in service, "breaks CUDA"
    assert "PrivateDevices" not in service, "hides sound, cameras and GPUs"


def test_the_daemon_accepts_what_the_unit_sets_and_keeps_the_key_out_of_the_state() -> None:
    service = settings()
    environ = dict(item.split("=", 1) for item in service["Environment"])
    directories = [f"/var/lib/{name}" for name in service["StateDirectory"][0].split()]
    config = load_config({"HOME": "/", "STATE_DIRECTORY": ":".join(directories), **environ})
    assert config.paths.state == Path("/var/lib/edged")
    assert str(config.key_directory) in directories
    assert config.paths.state not in config.key_directory.parents
    assert str(config.socket_path.parent) == f"/run/{service['RuntimeDirectory'][0]}"
    assert config.store.key == "file"


def test_the_account_of_the_unit_is_made() -> None:
    lines = [line.split() for line in (FOLDER / "edged.sysusers").read_text().splitlines() if line[:1] in ("u", "m")]
    assert lines[0][:2] == ["u", settings()["User"][0]]
    assert {line[2] for line in lines if line[0] == "m"} == {"audio", "video", "render"}


def test_systemd_finds_little_to_expose() -> None:
    done = analyze("security", "--offline=yes", str(UNIT))
    assert (exposure := re.search(r"Overall exposure level.*: ([0-9.]+)", done.stdout)), done.stderr
    assert float(exposure[1]) <= MAX_EXPOSURE


def test_systemd_knows_every_setting(tmp_path: Path) -> None:
    """On a machine that has the program, and no manual pages, which it would look its documentation up in."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("=/usr/bin/edged ", "=/bin/true "), encoding="utf-8")
    done = analyze("verify", str(unit), path="")
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "edged.service" in line]


def test_the_service_is_killed_before_the_machine_is() -> None:
    limit = settings()["MemoryMax"]
    assert len(limit) == 1 and re.fullmatch(r"[5-9][0-9]%", limit[0])
    assert settings()["Restart"] == ["on-failure"], "which is also what being killed for memory is"


def test_restarts_come_ever_later_where_systemd_can_do_that(tmp_path: Path) -> None:
    """Older ones say which settings they do not know, and take the rest."""
    shutil.copy(UNIT, tmp_path)
    (tmp_path / "edged.service.d").mkdir()
    shutil.copy(FOLDER / "backoff.conf", tmp_path / "edged.service.d")
    done = analyze("verify", str(tmp_path / "edged.service"))
    complaints = [line for line in done.stderr.splitlines() if "backoff.conf" in line]
    version = int(analyze("--version").stdout.split()[1].partition(".")[0])
    unknown = [] if version >= 254 else ["RestartSteps", "RestartMaxDelaySec"]
    assert len(complaints) == len(unknown)
    for key, line in zip(unknown, complaints, strict=True):
        assert f"'{key}'" in line and line.endswith("ignoring.")
    assert not [line for line in done.stderr.splitlines() if "edged.service:" in line and "executable" not in line]


def test_the_gpu_drop_in_is_read_and_opens_only_gpus() -> None:
    """systemd-analyze takes drop-ins beside the unit into account, so the two tests above judge it as well."""
    lines = (FOLDER / "edged.service.d/gpu.conf").read_text(encoding="utf-8").splitlines()
    allowed = [line.partition("=")[2] for line in lines if line.startswith("DeviceAllow=")]
    assert allowed and all("nv" in device and device.endswith(" rw") for device in allowed)
    assert not any(line.startswith(("DevicePolicy", "CapabilityBoundingSet", "IPAddress")) for line in lines)


def test_the_lan_drop_in_reaches_private_networks_and_no_further() -> None:
    lines = (FOLDER / "edged.service.d/lan.conf").read_text(encoding="utf-8").splitlines()
    allowed = [word for line in lines if line.startswith("IPAddressAllow=") for word in line.partition("=")[2].split()]
    networks = [ip_network(word) for word in allowed]
    assert networks and all(net.is_private or net.is_link_local or net.is_multicast for net in networks)
    groups = {str(net.network_address) for net in networks if net.is_multicast}
    egress = egress_of(load_config({"HOME": "/", **dict(_environment(lines))}))
    assert groups and all(egress.may_announce(MDNS_PORT, (group, MDNS_PORT)) for group in groups)
    assert not any(line.startswith("IPAddressDeny") for line in lines)


@pytest.mark.parametrize("name", ["credential", "passphrase"])
def test_a_credential_drop_in_hands_over_what_the_daemon_looks_for(name: str, tmp_path: Path) -> None:
    lines = (FOLDER / f"edged.service.d/{name}.conf").read_text(encoding="utf-8").splitlines()
    (loaded,) = [line.partition("=")[2] for line in lines if line.startswith("LoadCredentialEncrypted=")]
    (tmp_path / loaded.partition(":")[0]).write_text("what opens it")
    environ = {"HOME": "/", "CREDENTIALS_DIRECTORY": str(tmp_path), **dict(_environment(lines))}
    assert read_secret(load_config(environ)) == "what opens it"


def _environment(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("Environment="):
            name, _, value = line.removeprefix("Environment=").partition("=")
            yield name, value


@pytest.mark.system
def test_the_account_and_directories_can_be_made(tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("needs root")
    for tool in ("systemd-sysusers", "systemd-tmpfiles"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed (package systemd)")
    etc = tmp_path / "etc"
    etc.mkdir()
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", etc / name)
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "edged.sysusers")], check=True)
    assert "edged:" in (etc / "passwd").read_text()
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(FOLDER / "edged.tmpfiles")], check=True)
    assert (etc / "edged/edged.d").is_dir()
