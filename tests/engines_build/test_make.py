"""`make run MODEL=...` from a command line to an answer, in a copy of the checkout that shares the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import Repo, serving
from pulling import without_calibration
from tiny_checkpoints import gentle, save_folder, save_gguf, tiny_model
from tiny_sensing_phone import save_sensing_phone, sensing_phone

from tests.docs import ROOT

NANO = "engines/checkpoints/autoglm-phone-nano"
STAMP = ".venv/.installed-build,daemon,vision,voice,web"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs, Makefile, and an environment that is installed: nothing here runs pip."""
    folder = tmp_path_factory.mktemp("make") / "checkout"
    for name in ("engines", "edged"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    without_calibration(ROOT / "engines" / "recipes", folder / "engines" / "recipes")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name, command in {"python": "", "pip": "-m pip", "edged": "-m edged"}.items():
        program = folder / ".venv" / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    (folder / STAMP).touch()
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its name has whatever a shell or make could trip over."""
    folder = tmp_path_factory.mktemp("make") / "usb stick's $(touch evil) $(shell touch evil)"
    folder.mkdir()
    return save_gguf(gentle(tiny_model("qwen2")), folder / "tiny; touch evil $HOME.gguf", "Q8_0")


def make(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    foreign = ("MAKEFLAGS", "MAKELEVEL", "MODEL", "HF_HUB_OFFLINE", "HTTP_PROXY", "ALL_PROXY")
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in foreign}
    places = {"STATE_DIR": checkout / "state", "ENGINES_DIR": checkout / "build/engines", "STORE__KEY": "file"}
    places["SAMPLING__MAX_TOKENS"] = "4"
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=checkout,
        env=inherited
        | {f"EDGED_{name}": str(value) for name, value in places.items()}
        | {"XDG_CONFIG_HOME": str(checkout / "config")}
        | environment,
        input="/model\nHello!\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_run_with_a_carried_model_builds_it_and_opens_a_chat(checkout: Path, checkpoint: Path) -> None:
    done = make(checkout, "run", f"MODEL={checkpoint}")
    assert done.returncode == 0, done.stderr
    assert "tiny-touch-evil-home: INT4" in done.stderr
    shown, _, answer = done.stdout.partition("\n")
    assert shown.startswith("tiny-touch-evil-home ") and shown.endswith("(answers now)") and answer.strip()
    assert (checkout / "build" / "engines" / "tiny-touch-evil-home" / "manifest.json").is_file()
    assert not list(checkout.glob("evil*")), "the name was run as a command"
    assert make(checkout, "setup", f"MODEL={checkpoint}").stdout == "tiny-touch-evil-home\n"


def test_run_with_a_name_pulls_builds_and_opens_a_chat(checkout: Path, tmp_path: Path) -> None:
    """The name is a real one; behind it the hub here has a model of a few hundred kilobytes."""
    name, folder = "qwen2.5-0.5b-instruct", save_folder(gentle(tiny_model("qwen2")), tmp_path / "model")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serving(**{"Qwen__Qwen2.5-0.5B-Instruct": Repo(files)}) as hub:
        done = make(checkout, "run", f"MODEL={name}", HF_ENDPOINT=hub.address)
    assert done.returncode == 0, done.stderr
    assert f"pull alone uses the network, only when asked to: now it asks {hub.address}" in done.stderr
    assert done.stdout.startswith(f"{name} ") and "(answers now)" in done.stdout
    assert {path.name for path in (checkout / "build" / "models" / name).iterdir()} > {"config.json", "pulled.json"}
    again = make(checkout, "setup", f"MODEL={name}", HF_ENDPOINT="http://127.0.0.1:9")
    assert (again.returncode, again.stdout) == (0, f"{name}\n"), "neither hub nor build is needed again"


def test_a_model_that_is_not_there_ends_in_one_line(checkout: Path) -> None:
    done = make(checkout, "run", "MODEL=qwen3-8")
    errors = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2 and len(errors) == 1
    assert (
        "engines: no recipe, model of the catalog, file or folder 'qwen3-8' (did you mean \"qwen3-8b\"?)" in errors[0]
    )


@pytest.mark.parametrize(("arguments", "environment"), [([], {}), (["MODEL="], {}), ([], {"MODEL": "qwen3-8b"})])
def test_without_a_model_on_the_command_line_nothing_changes(
    arguments: list[str], environment: dict[str, str], checkout: Path
) -> None:
    """A variable of that name in the environment is somebody else's."""
    shutil.rmtree(checkout / NANO, ignore_errors=True)
    done = make(checkout, "--dry-run", "run", *arguments, **environment)
    build = ".venv/bin/python -m engines build"
    assert done.stdout.splitlines() == [f"{build} smollm2-135m", ".venv/bin/edged chat"]
    (checkout / NANO).mkdir(parents=True)
    (checkout / NANO / "config.json").touch()
    done = make(checkout, "--dry-run", "setup", *arguments, **environment)
    assert done.stdout.splitlines() == [f"{build} smollm2-135m", f"{build} autoglm-phone-nano"]


def test_the_nano_is_built_from_the_checkout_once(checkout: Path) -> None:
    """A random model of its kind in its place."""
    shutil.rmtree(checkout / NANO, ignore_errors=True)
    save_sensing_phone(sensing_phone(), checkout / NANO, int4=True)
    done = make(checkout, "run", "MODEL=autoglm-phone-nano")
    assert done.returncode == 0, done.stderr
    assert "autoglm-phone-nano: INT4 (INT4 blocks kept)" in done.stderr
    assert done.stdout.startswith("autoglm-phone-nano ") and "(answers now)" in done.stdout
    assert make(checkout, "setup", "MODEL=autoglm-phone-nano").stdout == "autoglm-phone-nano\n"


def test_cleaning_keeps_what_was_downloaded(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in (".venv/bin", "build/models/tiny", "build/engines/tiny", "build/.cache"):
        (tmp_path / name).mkdir(parents=True)
    for target, left in (
        ("clean", {"build", "build/models", "build/models/tiny"}),
        ("distclean", set()),
        ("clean", set()),
    ):
        subprocess.run(["make", target], cwd=tmp_path, check=True, capture_output=True)
        assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == left | {"Makefile"}
