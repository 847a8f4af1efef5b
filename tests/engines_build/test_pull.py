"""Pulling from a hub: what comes, what is built from it, and how an interrupted pull goes on."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hub_server import Hub
from pulling import PULLED, command, hidden, names, refused, run

from edged.engine.installed import find_engine
from edged.engine.manifest import read_manifest
from engines import recipe
from engines.__main__ import main
from engines.pulled import origin_of, read_pulled


def test_a_folder_is_shown_pulled_verified_and_built(hub: Hub, tmp_path: Path) -> None:
    out = tmp_path / "models" / "tiny"
    done = run("pull", "tiny/folder", "--out", out)
    assert done.returncode == 0, done.stderr
    repo = hub.repos["tiny/folder"]
    size = sum(len(repo.files[name]) for name in PULLED)
    assert done.stdout.splitlines()[:4] == [
        f"pull alone uses the network, only when asked to: now it asks {hub.address}",
        f"repository  {hub.address}/tiny/folder",
        f"commit      {repo.commit} (main)",
        "licence     apache-2.0",
    ]
    assert f"size        {size / 1e6:.1f} MB in 7 files\n" in done.stdout and " free for " in done.stdout
    assert done.stdout.endswith(f"to build it: python -m engines build {out}\n")
    assert names(out) == PULLED | {"pulled.json"} and names(out.parent) == {"tiny"}
    for name in PULLED:
        assert (out / name).read_bytes() == repo.files[name]
    document = json.loads((out / "pulled.json").read_bytes())
    assert {key: document[key] for key in ("repository", "revision", "commit", "license")} == {
        "repository": "tiny/folder",
        "revision": "main",
        "commit": repo.commit,
        "license": "apache-2.0",
    }
    weights = repo.files["model.safetensors"]
    entry = {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    assert document["files"]["model.safetensors"] == entry

    engines = tmp_path / "engines"
    quick = recipe.FOLDER / "cpu.toml"
    assert main(["build", str(out), "--out", str(engines / "tiny"), "--recipe", str(quick)]) == 0
    manifest = read_manifest(find_engine([engines], "tiny"))
    assert (manifest.license, manifest.source.name) == ("apache-2.0", "tiny/folder@0123456789ab")


def test_one_gguf_file_is_pulled_and_built(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tiny"
    assert main(["pull", "tiny/gguf@refs/pr/1", "--file", "q8/tiny-q8_0.gguf", "--out", str(out)]) == 0
    assert names(out) == {"tiny-q8_0.gguf", "README.md", "pulled.json"}
    assert capsys.readouterr().out.endswith(f"to build it: python -m engines build {out / 'tiny-q8_0.gguf'}\n")
    assert main(["build", str(out / "tiny-q8_0.gguf"), "--out", str(tmp_path / "engine")]) == 0
    assert read_manifest(tmp_path / "engine").source.name == "tiny/gguf@0123456789ab"
    assert origin_of(out) is None, "the folder is not the checkpoint"


def test_the_licence_of_the_card_is_the_manifest_s_where_the_checkpoint_names_none(hub: Hub, tmp_path: Path) -> None:
    repo = hub.repos["tiny/folder"]
    del repo.files["README.md"]
    repo.card = {"license": "other", "license_name": "tiny-terms\x1b[31m"}
    assert main(["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]) == 0
    assert main(["build", str(tmp_path / "tiny"), "--out", str(tmp_path / "engine")]) == 0
    assert read_manifest(tmp_path / "engine").license == "tiny-terms [31m"


def test_pulling_again_downloads_nothing(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]
    assert main(arguments) == 0
    hub.seen.clear()
    assert main(arguments) == 0
    assert [seen.path for seen in hub.seen] == ["/api/models/tiny/folder/revision/main"]
    assert "tiny: up to date" in capsys.readouterr().out


def test_what_a_new_commit_leaves_alone_is_not_downloaded_again(hub: Hub, tmp_path: Path) -> None:
    out, repo = tmp_path / "tiny", hub.repos["tiny/folder"]
    arguments = ["pull", "tiny/folder", "--out", str(out)]
    assert main(arguments) == 0
    repo.files |= {"README.md": b"Better words.", "vocab.json": b"{}"}
    del repo.files["LICENSE"]
    repo.commit = "f" * 40
    hub.seen.clear()
    assert main(arguments) == 0
    fetched = {seen.path.rpartition("/")[2] for seen in hub.seen if "/resolve/" in seen.path}
    assert fetched == {"README.md", "vocab.json"}
    assert names(out) == (PULLED - {"LICENSE"}) | {"vocab.json", "pulled.json"} and names(tmp_path) == {"tiny"}
    pulled = read_pulled(out)
    assert pulled is not None and pulled.commit == "f" * 40 and pulled.is_whole(out)


def test_a_file_damaged_after_it_came_comes_again(hub: Hub, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    arguments = ["pull", "tiny/folder", "--out", str(out)]
    assert main(arguments) == 0
    expected = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(expected[:-1] + b"!")
    assert main(arguments) == 0
    assert (out / "model.safetensors").read_bytes() == expected
    assert len(hub.ranges("model.safetensors")) == 4, "twice an address and its bytes"


def test_pieces_of_an_index_come_without_copies_beside_them(hub: Hub, tmp_path: Path) -> None:
    files = hub.repos["tiny/folder"].files
    files["model-00001-of-00001.safetensors"] = files.pop("model.safetensors")
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00001.safetensors"}}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    assert main(["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]) == 0
    weights = {name for name in names(tmp_path / "tiny") if name.endswith(".safetensors")}
    assert weights == {"model-00001-of-00001.safetensors"}


def test_a_mirror_that_lists_names_alone_is_asked_for_sizes_and_hashes(hub: Hub, tmp_path: Path) -> None:
    hub.repos["tiny/folder"].says_sizes = False
    assert main(["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]) == 0
    assert names(tmp_path / "tiny") == PULLED | {"pulled.json"}
    hub.spoilt["LICENSE"] = b"Apache Licence"
    assert main(["pull", "tiny/folder", "--out", str(tmp_path / "other")]) == 1


def test_a_connection_that_breaks_off_is_taken_up_where_it_ended(hub: Hub, tmp_path: Path) -> None:
    data = hub.repos["tiny/folder"].files["model.safetensors"]
    hub.break_off["model.safetensors"] = [100_000, 50_000]
    assert main(["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]) == 0
    stored = [seen.range for seen in hub.seen if seen.path == "/storage/tiny/folder/model.safetensors"]
    assert stored == ["", "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "tiny" / "model.safetensors").read_bytes() == data


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_pull_goes_on_from_what_has_come(sign: signal.Signals, hub: Hub, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    hub.stall["model.safetensors"] = 100_000
    process = subprocess.Popen(command("pull", "tiny/folder", "--out", out), stderr=subprocess.PIPE, text=True)
    try:
        assert hub.stalled.wait(60)
        _wait_for_bytes(hidden(out), 90_000)
        process.send_signal(sign)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    hub.released.set()
    hub.stall.clear()
    assert not out.exists(), "half a checkpoint is not installed"
    if sign != signal.SIGKILL:
        assert error == "engines: interrupted, what has come is kept: the same command goes on from there\n"
        assert process.returncode == 1
    hub.seen.clear()
    assert main(["pull", "tiny/folder", "--out", str(out)]) == 0
    (resumed,) = (seen.range for seen in hub.seen if seen.path == "/storage/tiny/folder/model.safetensors")
    assert 90_000 <= int(resumed.removeprefix("bytes=").removesuffix("-")) <= 100_000
    assert not [seen for seen in hub.seen if seen.path.endswith("config.json")], "what was whole came once"
    assert (out / "model.safetensors").read_bytes() == hub.repos["tiny/folder"].files["model.safetensors"]
    assert names(tmp_path) == {"tiny"}


def test_the_beginning_of_another_version_is_not_continued(hub: Hub, tmp_path: Path) -> None:
    repo = hub.repos["tiny/folder"]
    hub.break_off["model.safetensors"] = [100_000] + [0] * 3
    assert main(["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]) == 1
    repo.commit, repo.files["model.safetensors"] = "f" * 40, repo.files["model.safetensors"][::-1]
    hub.break_off.clear()
    hub.seen.clear()
    assert main(["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]) == 0
    assert set(hub.ranges("model.safetensors")) == {""}
    assert names(tmp_path) == {"tiny"}


@pytest.mark.parametrize("quirk", ["ignores_ranges", "names_ranges"])
def test_servers_that_are_weak_at_ranges_do(quirk: str, hub: Hub, tmp_path: Path) -> None:
    setattr(hub, quirk, not getattr(hub, quirk))
    hub.break_off["model.safetensors"] = [100_000]
    assert main(["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]) == 0
    expected = hub.repos["tiny/folder"].files["model.safetensors"]
    assert (tmp_path / "tiny" / "model.safetensors").read_bytes() == expected
    assert "bytes=100000-" in hub.ranges("model.safetensors")


def test_a_server_that_stays_busy_is_given_up_on_and_what_came_is_kept(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.statuses["model.safetensors"] = [503] * 3
    arguments = ("tiny/folder", "--out", tmp_path / "tiny")
    assert "answers 503: pull again later, what has come is kept" in refused(capsys, *arguments)
    assert "config.json" in names(hidden(tmp_path / "tiny"))
    hub.statuses["model.safetensors"] = [503, 429]
    assert main(["pull", *map(str, arguments)]) == 0


def _wait_for_bytes(folder: Path, size: int) -> None:
    end = time.monotonic() + 60
    while sum(path.stat().st_size for path in folder.glob("*.part")) < size:
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.005)
