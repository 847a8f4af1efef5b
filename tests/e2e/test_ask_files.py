"""`edged ask` shows pictures and plays recordings to a daemon that may open nothing it does not need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.audio.recordings import encoded, tone
from tests.e2e.program import Home, short_folder
from tests.sensing_artefact import sensing_artefact


@pytest.fixture
def sensing(tmp_path: Path) -> Iterator[Home]:
    sensing_artefact(tmp_path / "engines")
    Image.new("RGB", (96, 64), (200, 30, 30)).save(tmp_path / "picture", "WEBP")
    for name, kind in (("first", "MP3"), ("second", "OGG")):
        (tmp_path / name).write_bytes(encoded(tone(0.5, 44_100), 44_100, kind))
    (tmp_path / "cut").write_bytes(encoded(tone(0.5))[:1000])
    with short_folder() as folder:
        yield Home(folder, tmp_path / "engines", engine="sensing")


def test_a_picture_and_recordings_are_answered_without_a_word(sensing: Home, tmp_path: Path) -> None:
    first, picture, second, cut = (str(tmp_path / name) for name in ("first", "picture", "second", "cut"))
    files = ("--audio", first, "--image", picture, "--audio", second)
    with sensing.daemon():
        done = sensing.run("ask", "--json", "--max-tokens", "4", *files)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["text"] and answer["usage"]["prompt_tokens"] == 2 + 3 * 2 + 7 + 6 + 7
        again = sensing.run("ask", "--max-tokens", "4", "--conversation", answer["conversation_id"], "Sure?")
        assert again.returncode == 0, again.stderr
        refused = sensing.run("ask", "--audio", cut, "What?")
        shown = sensing.run("conversations", "show", answer["conversation_id"]).stdout
        status = json.loads(sensing.run("status", "--json").stdout)
    assert (refused.returncode, refused.stderr) == (1, "edged: the recording is damaged: the file breaks off\n")
    assert "[audio/mpeg," in shown and "[image/webp," in shown and "[audio/ogg," in shown
    assert status["store"]["conversations"] == 1 and status["engine"]["expert_load"] == []
