"""compose.yaml says what an administrator is promised: closed, unprivileged, and on this machine alone."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from edged.config import load_config
from tests.systemd.compose import FILE, compose
from tests.systemd.image import parsed

DOCKERFILE = FILE.with_name("Dockerfile")
SERVICES = {"edged": "cpu", "edged-gpu": "cuda"}


@pytest.fixture(params=SERVICES, ids=str)
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][request.param]
    return found


def test_every_service_is_there_and_names_a_stage_of_the_dockerfile() -> None:
    assert {name: service["build"]["target"] for name, service in compose()["services"].items()} == SERVICES
    assert set(SERVICES.values()) <= parsed(DOCKERFILE.read_text()).keys()


def test_it_is_published_on_this_machine_alone(service: dict[str, Any]) -> None:
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["networks"] == ["closed"] and "network_mode" not in service
    closed = compose()["networks"]["closed"]
    assert closed["driver_opts"] == {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def test_it_may_nothing_and_writes_only_where_it_has_to(service: dict[str, Any]) -> None:
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"] and "privileged" not in service
    assert [volume.split(":")[:2] for volume in service["volumes"]] == [
        ["./models", "/models"],
        ["./logs", "/logs"],
        ["state", "/var/lib/edged"],
        ["key", "/var/lib/edged-key"],
    ]
    assert "./models:/models:ro" in service["volumes"]
    assert service["ulimits"]["core"] == 0


def test_it_is_the_account_of_the_image_which_says_how_it_is(service: dict[str, Any]) -> None:
    steps = dict(parsed(DOCKERFILE.read_text())["base"])
    assert service["user"] == steps["USER"] and steps["USER"].partition(":")[0] != "0"
    assert steps["HEALTHCHECK"].endswith('CMD ["edged", "status", "--json"]') and "healthcheck" not in service


def test_two_gpus_are_reserved() -> None:
    service = compose()["services"]["edged-gpu"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}
    assert service["environment"]["DEVICE"] == "cuda:0,1" and service["profiles"] == ["gpu"]


@pytest.mark.parametrize(("name", "device"), [("edged", "cpu"), ("edged-gpu", "cuda:0,1")])
def test_the_shell_decides_what_the_entrypoint_is_told(name: str, device: str) -> None:
    assert compose()["services"][name]["environment"] == {
        "DEVICE": device,
        "MAX_SEQ_LEN": "4096",
        "QUANTIZATION": "int4",
    }
    given = {"DEVICE": "cuda:1", "MAX_SEQ_LEN": "8192", "QUANTIZATION": "int4"}
    assert compose(given)["services"][name]["environment"] == given


def test_the_override_for_phones_publishes_what_the_image_then_listens_on() -> None:
    readme = (FILE.parent / "systemd/container/README.md").read_text(encoding="utf-8")
    override = yaml.safe_load(readme.partition("```yaml\n")[2].partition("```")[0])["services"]["edged"]
    built = dict(item.split("=", 1) for item in dict(parsed(DOCKERFILE.read_text())["base"])["ENV"].split())
    config = load_config({**built, **override["environment"]})
    assert config.lan.enabled and config.http.lan and not config.lan.announce
    assert override["ports"] == [f"{port}:{port}" for port in (config.lan.web_port, config.lan.grpc_port)]


@pytest.mark.system
def test_it_is_valid_by_the_schema_of_the_compose_specification() -> None:
    """dclint carries it, and has opinions of its own."""
    if not shutil.which("npx"):
        pytest.skip("npx is not installed (package npm)")
    command = ["npx", "--yes", "dclint@3.1.0", "--max-warnings", "0", FILE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
