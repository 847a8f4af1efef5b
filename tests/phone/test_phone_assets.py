"""What the daemon serves as the phone app: it is what the sources say, it is small, and it asks nobody else."""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from PIL import Image

from tests.phone.browser import PHONE

SOURCES = Path(__file__).parents[2] / "clients" / "phone"
GENERATED = sorted((SOURCES / "src" / "gen" / "edged" / "v1").glob("*_pb.ts"))
MAX_BYTES = 300_000
"""Gzipped, of everything that a phone ever loads."""
SECONDS = 300
TEXT = {".css", ".html", ".js", ".webmanifest"}
NEVER_FETCHED = {
    "http://www.w3.org/1998/Math/MathML",
    "http://www.w3.org/1999/xhtml",
    "http://www.w3.org/2000/svg",
    "https://github.com/markedjs/marked.",
}
"""Names of namespaces, and the end of an error message."""


def files() -> list[Path]:
    return sorted(path for path in PHONE.rglob("*") if path.is_file())


def names(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def npm(*arguments: str) -> None:
    """Run a script of the app's. Skips where its tools are not installed."""
    if not shutil.which("npm") or not (SOURCES / "node_modules").exists():
        pytest.skip("needs the app's tools: apt-get install npm, npm ci --prefix clients/phone")
    done = subprocess.run(
        ["npm", "run", "--silent", *arguments],
        cwd=SOURCES,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_light() -> None:
    weights = {path.name: len(gzip.compress(path.read_bytes(), mtime=0)) for path in files()}
    assert sum(weights.values()) < MAX_BYTES, weights


def test_the_page_holds_no_script_and_no_style() -> None:
    page = (PHONE / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (PHONE / path.removeprefix("/")).is_file(), path


def test_no_other_machine_is_named() -> None:
    for path in files():
        if path.suffix in TEXT:
            found = set(re.findall(r"(?:https?|wss?)://[\w.-]+\.[a-z]{2,}[\w./-]*", path.read_text()))
            assert found <= NEVER_FETCHED, path


def test_it_says_nothing_of_the_machine_that_built_it() -> None:
    for path in files():
        assert b"node_modules/" not in path.read_bytes(), path
        assert str(SOURCES.parents[1]).encode() not in path.read_bytes(), path


def test_the_service_worker_keeps_all_of_the_shell_and_nothing_else() -> None:
    (literal,) = re.findall(r'JSON\.parse\("((?:[^"\\]|\\.)*)"\)', (PHONE / "sw.js").read_text())
    kept = json.loads(json.loads(f'"{literal}"'))
    served = {"/" + name for name in names(PHONE)} - {"/index.html", "/sw.js", "/licences.txt"} | {"/"}
    assert set(kept["files"]) == served


def test_it_can_be_installed() -> None:
    manifest = json.loads((PHONE / "manifest.webmanifest").read_text())
    assert manifest["start_url"] == "/" and manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        with Image.open(PHONE / icon["src"].removeprefix("/")) as picture:
            assert f"{picture.width}x{picture.height}" == icon["sizes"]
    assert {icon.get("purpose", "any") for icon in manifest["icons"]} == {"any", "maskable"}


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.stem)
def test_the_generated_code_is_that_of_the_contract(path: Path) -> None:
    """`npm run generate` renews it."""
    (encoded,) = re.findall(r'fileDesc\("([\w+/=]+)"', path.read_text())
    theirs = FileDescriptorProto.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
    ours = FileDescriptorProto()
    importlib.import_module(f"edged.v1.{path.stem.removesuffix('_pb')}_pb2").DESCRIPTOR.CopyToProto(ours)
    assert [outline(theirs), [service.name for service in theirs.service]] == [
        outline(ours),
        [service.name for service in ours.service],
    ]


def outline(file: FileDescriptorProto) -> list[tuple[str, list[tuple[str, int]]]]:
    messages = [
        (message.name, [(field.name, field.number) for field in message.field]) for message in file.message_type
    ]
    return messages + [(enum.name, [(value.name, value.number) for value in enum.value]) for enum in file.enum_type]


def test_its_own_tests_pass() -> None:
    npm("check")
    npm("test")


def test_the_build_is_that_of_the_sources(tmp_path: Path) -> None:
    """`npm run build` renews it; twice the same, to the byte."""
    npm("build", "--", "--outDir", str(tmp_path / "phone"))
    built, served = names(tmp_path / "phone"), names(PHONE)
    assert sorted(built) == sorted(served)
    assert [name for name in built if built[name] != served[name]] == []
