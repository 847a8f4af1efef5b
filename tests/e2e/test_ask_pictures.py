"""A photographed menu and a model that reads text alone, through the whole program: read, told, stored, found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.program import Home, require_namespaces, short_folder
from tests.vision.menu import character_error_rate, expected_text, menu, photographed


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("photo") / "menu.jpg"
    file.write_bytes(photographed(menu()))
    return str(file)


def test_the_menu_is_read_told_and_kept(served: Home, photo: str) -> None:
    done = served.run("ask", "--json", "--max-tokens", "4", "--image", photo, "Is the Mapo Tofu spicy?")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["text"] and report["usage"]["prompt_tokens"] > 100  # the description is among them
    found = served.run("conversations", "search", "宫保鸡丁")
    assert report["conversation_id"] in found.stdout
    assert served.run("conversations", "delete", report["conversation_id"], "--yes").returncode == 0
    assert report["conversation_id"] not in served.run("conversations", "search", "宫保鸡丁").stdout


def test_ocr(served: Home, photo: str) -> None:
    done = served.run("ocr", photo)
    assert done.returncode == 0, done.stderr
    assert character_error_rate(expected_text(), done.stdout) <= 0.02


def test_see(served: Home, photo: str) -> None:
    assert "Mapo Tofu" in served.run("see", photo).stdout
    done = served.run("see", photo, "Is the Mapo Tofu spicy?")
    assert done.returncode == 0 and done.stdout


def test_no_picture_and_the_daemon_goes_on(served: Home, photo: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(Path(photo).read_bytes()[:5000])
    done = served.run("ask", "--image", str(broken), "What is this?")
    assert done.returncode == 1 and done.stdout == ""
    assert f"{broken}: the picture is damaged" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert served.run("ocr", photo).returncode == 0


def test_without_a_network_and_without_a_daemon(engines: Path, photo: str) -> None:
    require_namespaces("-rn")
    with short_folder() as folder:
        done = Home(folder, engines).run("ocr", photo, prefix=("unshare", "-rn"))
    assert done.returncode == 0, done.stderr
    assert "Mapo Tofu" in done.stdout
