"""Which files a daemon may open: as decisions, and as Landlock carries them out on a process and its children."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from edged.config import Config, load_config
from edged.privacy.files import files_of, own_folders
from tests.privacy.guarded import require_landlock, run_guarded


def config(home: Path, **environ: str) -> Config:
    return load_config({"HOME": str(home), "EDGED_STATE_DIR": str(home / "state"), **environ})


def covers(paths: tuple[Path, ...], path: Path) -> bool:
    return any(path.is_relative_to(one) for one in paths)


def test_a_daemon_writes_its_own_folders_and_executes_nothing_there(tmp_path: Path) -> None:
    access = files_of(config(tmp_path, EDGED_VOICE__DEBUG_RECORDING=str(tmp_path / "heard")), {})
    for own in ("state/edged.db", ".config/edged/database.key", "heard/1.wav"):
        assert covers(access.change, tmp_path / own)
        assert not covers(access.run, tmp_path / own)
    for other in (tmp_path / "letter.txt", Path("/etc/passwd"), Path("/usr/bin/env"), Path("/tmp/x")):
        assert not covers(access.change, other)
    assert not covers((*access.run, *access.read), tmp_path / "letter.txt")
    assert config(tmp_path).socket_path.parent in own_folders(config(tmp_path), {})


def test_a_key_in_the_keyring_needs_no_folder(tmp_path: Path) -> None:
    assert tmp_path / ".config/edged" not in own_folders(config(tmp_path, EDGED_STORE__KEY="keyring"), {})


def test_what_the_configuration_names_is_read(tmp_path: Path) -> None:
    engines, elsewhere = tmp_path / "engines", tmp_path / "elsewhere"
    (elsewhere / "weights").mkdir(parents=True)
    engines.mkdir()
    (engines / "linked").symlink_to(elsewhere)
    (elsewhere / "weights/model.onnx").touch()
    (elsewhere / "model.onnx").symlink_to("weights/model.onnx")
    named = {
        "EDGED_ENGINES_DIR": str(engines),
        "EDGED_VOICE__VOICE": str(tmp_path / "voices/joe.onnx"),
        "EDGED_VOICE__WAKE_WORDS": f"alexa, {tmp_path}/words/computer.json",
        "EDGED_VOICE__RECOGNIZER": str(tmp_path / "whisper"),
        "EDGED_CAMERA__SOURCE": str(tmp_path / "film/walk.mp4"),
    }
    access = files_of(config(tmp_path, **named), {})
    for file in ("engines", "elsewhere/weights/model.onnx", "voices/joe.onnx.json", "words/computer.tflite"):
        assert covers(access.read, tmp_path / file), file
    assert covers(access.read, tmp_path / "whisper/model.bin") and covers(access.read, tmp_path / "film/walk.mp4")
    assert not covers(access.change, tmp_path / "engines")


@pytest.mark.parametrize(("source", "all_nodes"), [("0", True), ("/dev/video2", True), ("", False)])
def test_cameras_that_are_plugged_in_later_are_found(tmp_path: Path, source: str, all_nodes: bool) -> None:
    access = files_of(config(tmp_path, EDGED_CAMERA__SOURCE=source), {})
    assert covers(access.use, Path("/dev/video7")) is all_nodes
    assert covers(access.use, Path("/dev/snd/pcmC0D0c"))


def test_only_the_file_of_the_light_is_written(tmp_path: Path) -> None:
    led = "/sys/class/leds/front/brightness"
    access = files_of(config(tmp_path, EDGED_CAMERA__LED=led), {})
    assert Path(led) in access.use and not covers(access.change, Path(led))


def test_the_environment_says_where_libraries_and_kernels_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr("edged.privacy.files._NODES", tmp_path)
    environ = {"LD_LIBRARY_PATH": ":/srv/cuda/lib:", "CUDA_CACHE_PATH": "/var/cache/edged"}
    access = files_of(config(tmp_path), environ)
    assert covers(access.run, Path("/srv/cuda/lib/libcudart.so")) and covers(access.change, Path("/var/cache/edged/1"))
    assert all(path.is_absolute() for path in access.run)


@pytest.mark.parametrize(
    ("notify", "bus", "abstract"),
    [
        ("", "unix:path=/run/user/1/bus", False),
        ("@notify", "", True),
        ("", "unix:abstract=/tmp/dbus", True),
        ("/run/n", "", False),
    ],
)
def test_nameless_sockets_only_where_the_desktop_has_one(tmp_path: Path, notify: str, bus: str, abstract: bool) -> None:
    found = files_of(config(tmp_path, NOTIFY_SOCKET=notify), {"DBUS_SESSION_BUS_ADDRESS": bus})
    assert found.abstract_sockets is abstract


BEGIN = """
import errno, json, os, subprocess, sys
from pathlib import Path
from edged.config import load_config
from edged.privacy.files import files_of, own_folders
from edged.privacy.sandbox import limit_files
config = load_config()
for folder in own_folders(config, os.environ):
    folder.mkdir(parents=True, exist_ok=True)
home, state = Path.home(), config.paths.state

def outcome(attempt):
    try:
        attempt()
    except OSError as exc:
        return errno.errorcode[exc.errno]
    return "done"
"""

ATTEMPTS = """
(home / "letter.txt").write_text("private")
(home / "stolen").symlink_to(home / "letter.txt")
(state / "link").symlink_to(home / "letter.txt")
inherited = (home / "letter.txt").open()
enforcement = limit_files(files_of(config, os.environ))
assert enforcement.active, enforcement.detail
script = state / "script"
def run_own():
    script.write_text("#!/bin/sh\\n")
    script.chmod(0o700)
    subprocess.run([script], check=True)
print(json.dumps({
    "read a letter": outcome(lambda: (home / "letter.txt").read_text()),
    "by a link": outcome(lambda: (state / "link").read_text()),
    "list a home": outcome(lambda: os.listdir(home)),
    "write beside it": outcome(lambda: (home / "new").write_text("x")),
    "remove it": outcome(lambda: (home / "letter.txt").unlink()),
    "empty it": outcome(lambda: os.truncate(home / "letter.txt", 0)),
    "move it": outcome(lambda: (home / "letter.txt").rename(state / "letter.txt")),
    "link it": outcome(lambda: os.link(home / "letter.txt", state / "letter.txt")),
    "execute what it wrote": outcome(run_own),
    "a child reads it": subprocess.run(["cat", home / "letter.txt"], capture_output=True).returncode,
    "write state": outcome(lambda: (state / "x").write_text("x")),
    "move within state": outcome(lambda: (state / "x").replace(state / "y")),
    "remove from state": outcome(lambda: (state / "y").unlink()),
    "a folder in state": outcome(lambda: (state / "f").mkdir()),
    "a device in state": outcome(lambda: os.mknod(state / "d", 0o20600, os.makedev(1, 3))),
    "random numbers": outcome(lambda: open("/dev/urandom", "rb").read(1)),
    "settings": outcome(lambda: Path("/etc/passwd").read_text()),
    "a program": subprocess.run(["true"]).returncode,
    "what was open": outcome(inherited.read),
}))
"""

OUTSIDERS = """
import signal, socket
name = "\\0edged-test-" + sys.argv[1]
parent = os.getppid()
enforcement = limit_files(files_of(config, os.environ))
child = subprocess.Popen(["sleep", "60"])
def reach():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(name)
print(json.dumps([
    outcome(reach), outcome(lambda: os.kill(parent, 0)), outcome(child.kill), child.wait() == -signal.SIGKILL,
]))
"""

OLD = """
from edged.privacy import sandbox
sandbox._version = lambda: int(sys.argv[1])
enforcement = limit_files(files_of(config, os.environ))
(state / "x").write_text("x")
print(json.dumps([enforcement.active, enforcement.detail, outcome(lambda: (home / "new").write_text("x"))]))
"""


def guarded(script: str, home: Path, *arguments: str) -> Any:
    environ = {"HOME": str(home), "EDGED_STATE_DIR": str(home / "state"), "XDG_RUNTIME_DIR": str(home)}
    return json.loads(run_guarded(BEGIN + script, *arguments, **environ))


def test_a_restricted_process_opens_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    require_landlock(3)
    told = guarded(ATTEMPTS, tmp_path)
    refused = {name for name, result in told.items() if result in ("EACCES", "EXDEV", 1)}
    assert refused == {
        *("read a letter", "by a link", "list a home", "write beside it", "remove it", "empty it", "move it"),
        *("link it", "execute what it wrote", "a child reads it", "a device in state"),
    }
    assert all(told[name] in ("done", 0) for name in told.keys() - refused), told


def test_processes_outside_are_out_of_reach(tmp_path: Path) -> None:
    require_landlock(6)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0edged-test-{tmp_path.name}")
        listener.listen()
        assert guarded(OUTSIDERS, tmp_path, tmp_path.name) == ["EPERM", "EPERM", "done", True]


@pytest.mark.parametrize(
    ("abi", "left_open"),
    [
        (1, "emptying files, commands to devices, signals, abstract unix sockets"),
        (2, "emptying files, commands to devices, signals, abstract unix sockets"),
        (3, "commands to devices, signals, abstract unix sockets"),
        (5, "signals, abstract unix sockets"),
        (6, ""),
    ],
)
def test_what_an_older_kernel_cannot_do_is_said(tmp_path: Path, abi: int, left_open: str) -> None:
    """This kernel is asked for what the older one knows."""
    require_landlock(abi)
    active, detail, outside = guarded(OLD, tmp_path, str(abi))
    assert active and outside == "EACCES"
    assert detail.partition("left open: ")[2] == left_open
