"""Pulling what is damaged, hostile, forbidden, not there or too large: one line, and nothing is installed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import Hub, Repo
from pulling import PULLED, command, hidden, names, refused, run

from engines import hub as hub_module
from engines import pull as pull_module
from engines.__main__ import main


def test_content_that_is_not_what_the_hub_described_is_deleted(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, arguments = tmp_path / "tiny", ("tiny/folder", "--out", tmp_path / "tiny")
    data = hub.repos["tiny/folder"].files["model.safetensors"]
    card = hub.repos["tiny/folder"].files["README.md"]
    for name, content in (("README.md", card[::-1]), ("model.safetensors", data[:-1] + b"!")):
        hub.spoilt = {name: content}
        error = refused(capsys, *arguments)
        assert f"{name}: came damaged (its hash is not the hub's) and was deleted: pull again" in error
        assert not out.exists() and not list(hidden(out).glob(f"*{name}*"))
    hub.spoilt = {}
    assert main(["pull", *map(str, arguments)]) == 0


def test_less_or_more_than_was_announced_is_refused(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = hub.repos["tiny/folder"].files["model.safetensors"]
    hub.spoilt = {"model.safetensors": data[:-1000]}
    error = refused(capsys, "tiny/folder", "--out", tmp_path / "short")
    assert "a file is shorter there than its description says" in error and not (tmp_path / "short").exists()
    hub.spoilt = {"model.safetensors": data + bytes(1000)}
    error = refused(capsys, "tiny/folder", "--out", tmp_path / "long")
    assert f"sends more than the {len(data)} bytes it announced" in error
    assert sum(path.stat().st_size for path in hidden(tmp_path / "long").glob("*.part")) <= len(data)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "a\\b.safetensors", "x\x1b[31m.json", "."])
def test_names_that_leave_the_folder_are_refused(
    name: str, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repos["tiny/folder"].listed_names = [name]
    error = refused(capsys, "tiny/folder", "--out", tmp_path / "in" / "tiny")
    assert "it lists a file named" in error and "\x1b" not in error
    assert names(tmp_path) == set()


def test_descriptions_are_bounded_and_checked(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tiny"
    hub.repos["tiny/folder"].listed_names = [f"LICENSE-{number}" for number in range(pull_module.MAX_FILES)]
    assert "507 files for one model: not pulled" in refused(capsys, "tiny/folder", "--out", out)
    monkeypatch.setattr(hub_module, "MAX_LISTING_BYTES", 10_000)
    assert "its list of files is larger than 10000 bytes" in refused(capsys, "tiny/folder", "--out", out)
    for text in ("<html>", "[]", "[" * 5000, "{}", '{"sha": "main", "siblings": []}', '{"siblings": 5}'):
        hub.listing = text.encode()
        assert "answers something else than a hub does: check HF_ENDPOINT" in refused(
            capsys, "tiny/folder", "--out", out
        )
    hub.listing = json.dumps({"sha": "0" * 40, "siblings": [{"rfilename": 5}]}).encode()
    assert "something else than a hub" in refused(capsys, "tiny/folder", "--out", out)
    assert names(tmp_path) == set()


def test_an_architecture_that_cannot_be_built_shows_before_its_weights_come(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repos["tiny/folder"].files["config.json"] = b'{"model_type": "mamba"}'
    error = refused(capsys, "tiny/folder", "--out", tmp_path / "tiny")
    assert "'mamba' is not supported" in error and hub.ranges("model.safetensors") == []


def test_what_is_not_there_is_named_with_what_is(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = hub.repos["tiny/folder"].files
    bare = {name: data for name, data in files.items() if not name.endswith(".safetensors")}
    hub.repos["tiny/pickles"] = Repo(bare)
    out = ("--out", tmp_path / "tiny")
    cases = [
        (["Qwen/Qwen2.5-1.5B-Instrukt"], 'or a private one that wants HF_TOKEN (did you mean "Qwen/Qwen2.5-1.5B-Ins'),
        (["tiny/folder@v9"], "tiny/folder has no such revision: {hub}/tiny/folder/commits lists them\n"),
        (["tiny/gguf", "--file", "tiny.gguf"], "it has: q8/tiny-q8_0.gguf, tiny-00001-of-00002.gguf"),
        (["tiny/folder", "--file", "pytorch_model.bin"], "has no GGUF file 'pytorch_model.bin'; it has: none"),
        (["tiny/gguf", "--file", "tiny-00001-of-00002.gguf"], "is one piece of several"),
        (["tiny/gguf"], "name one of its GGUF files with --file: q8/tiny-q8_0.gguf"),
        (["tiny/pickles"], "has no config.json with *.safetensors: edged reads no other kind"),
        (["qwen3-4b-instruct"], 'nor a name of the catalog (did you mean "qwen3-4b-instruct-2507"?)'),
        (["../../evil"], "is neither OWNER/NAME of a hub nor a name of the catalog"),
        ([hub.address], "is neither OWNER/NAME of a hub nor a name of the catalog"),
    ]
    for arguments, expected in cases:
        assert expected.replace("{hub}", hub.address) in refused(capsys, *arguments, *out)
    assert names(tmp_path) == set()


def test_a_gated_model_wants_its_licence_accepted(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = hub.repos["tiny/folder"]
    repo.gated, repo.token = "manual", "hf_right"
    arguments = ("tiny/folder", "--out", tmp_path / "tiny")
    line = f"tiny/folder is gated: accept its licence at {hub.address}/tiny/folder, then set HF_TOKEN"
    assert line in refused(capsys, *arguments)
    assert not [seen for seen in hub.seen if "/resolve/" in seen.path], "nothing was asked for without a token"
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    assert line in refused(capsys, *arguments)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    hub.seen.clear()
    assert main(["pull", *map(str, arguments)]) == 0
    assert f"(gated: to be accepted at {hub.address}/tiny/folder)" in capsys.readouterr().out
    assert all(seen.authorized != seen.path.startswith("/storage/") for seen in hub.seen), "no token for the storage"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "does not accept the token: set HF_TOKEN to a valid one, or unset it"),
        (403, "refuses tiny/folder to this token: ask for access at"),
        (404, "no repository tiny/folder at"),
        (429, "has had too many requests"),
        (500, "answers 500: pull again later"),
    ],
)
def test_a_hub_that_refuses_is_quoted_in_one_line(
    status: int, expected: str, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.statuses["api"] = [status]
    assert expected in refused(capsys, "tiny/folder", "--out", tmp_path / "tiny")
    assert names(tmp_path) == set()


def test_no_network_is_said_in_one_line(hub: Hub, tmp_path: Path) -> None:
    arguments = ("pull", "tiny/folder", "--out", tmp_path / "tiny")
    offline = run(*arguments, HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stderr) == (
        1,
        "engines: HF_HUB_OFFLINE forbids the network: unset it, or build from a GGUF file or folder "
        "that you carry here\n",
    )
    nobody = run(*arguments, HF_ENDPOINT="http://127.0.0.1:9")
    assert nobody.returncode == 1 and nobody.stderr.count("\n") == 1
    assert "http://127.0.0.1:9 cannot be reached" in nobody.stderr and "check the network and HF_EN" in nobody.stderr
    assert hub.seen == [] and names(tmp_path) == set()


def test_settings_that_cannot_be_used_are_named(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_\u00f6")
    error = refused(capsys, "tiny/folder", "--out", tmp_path / "tiny")
    assert "HF_ENDPOINT, HF_TOKEN or a proxy variable cannot be used: 'ascii' codec" in error
    done = run("pull", "tiny/folder", "--out", tmp_path / "tiny", HF_ENDPOINT="http://[::1")
    assert (done.returncode, done.stderr) == (1, "engines: HF_ENDPOINT is no address: Invalid IPv6 URL\n")


def test_a_server_that_says_nothing_is_not_waited_for(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "TIMEOUT_SECONDS", 0.2)
    hub.stall["model.safetensors"] = 0
    error = refused(capsys, "tiny/folder", "--out", tmp_path / "tiny")
    assert "does not answer: try again later; what has come is kept" in error


def test_a_disk_that_is_too_small_is_refused_with_numbers(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=pull_module.SPARE_BYTES + 1000))
    size = sum(len(hub.repos["tiny/folder"].files[name]) for name in PULLED)
    error = refused(capsys, "tiny/folder", "--out", tmp_path / "tiny")
    assert f"{size / 1e6:.1f} MB are still to come and {tmp_path} has 67.1 MB free: make room" in error
    assert not [seen for seen in hub.seen if "/resolve/" in seen.path] and names(tmp_path) == set()


def test_a_disk_that_fills_up_keeps_what_has_come(hub: Hub, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: both end a write."""
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "from engines.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["pull", "tiny/folder", "--out", str(tmp_path / "tiny")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"{tmp_path}: File too large: pull again, what has come is kept" in done.stderr
    assert main(arguments) == 0
    assert [seen.range for seen in hub.seen if seen.path.startswith("/storage/tiny/folder/model")] == [
        "",
        "bytes=100000-",
    ]


def test_a_full_disk_is_said_in_one_line(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub_module, "download", full)
    error = refused(capsys, "tiny/folder", "--out", tmp_path / "tiny")
    assert error == f"engines: {tmp_path}: the disk is full: make room and pull again, what has come is kept\n"


def test_a_folder_of_somebody_else_is_left_alone(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tiny"
    for content in ("photo.jpg", "pulled.json"):
        out.mkdir()
        (out / content).write_bytes(b"{}")
        arguments = ("tiny/folder", "--out", out)
        assert f"{out} holds something else: remove it, or name another folder" in refused(capsys, *arguments)
        assert names(out) == {content}
        shutil.rmtree(out)
    assert main(["pull", *map(str, arguments)]) == 0
    assert f"{out} holds something else: remove it" in refused(capsys, "tiny/gguf", "--out", out)
    (out / "mine.txt").write_text("notes")
    assert "holds something else" in refused(capsys, *arguments)
    (tmp_path / "file").write_text("")
    assert "holds something else" in refused(capsys, "tiny/folder", "--out", tmp_path / "file")
    assert "cannot be written: Not a directory" in refused(capsys, "tiny/folder", "--out", tmp_path / "file" / "x")


def test_two_pulls_into_one_folder_do_not_mix(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tiny"
    hub.stall["model.safetensors"] = 1000
    process = subprocess.Popen(command("pull", "tiny/folder", "--out", out), stdout=subprocess.DEVNULL)
    try:
        assert hub.stalled.wait(60)
        assert "another pull is at work there" in refused(capsys, "tiny/folder", "--out", out)
    finally:
        process.kill()
        process.wait()
