"""The container: its files as linters and its entrypoint see them, and its steps run as they stand in a clean root."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.debian import bootstrap, require
from tests.systemd.image import Image

ROOT = Path(__file__).resolve().parents[2]
ENTRYPOINT = ROOT / "systemd/container/entrypoint"


def test_hadolint_has_nothing_to_say() -> None:
    linter = ROOT / ".venv/bin/hadolint"
    if not linter.exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"EDGED_ENGINE__DEVICE": "auto"}),
        ({"DEVICE": "cpu", "QUANTIZATION": "int4"}, {"EDGED_ENGINE__DEVICE": "cpu"}),
        ({"DEVICE": "cuda:0,1"}, {"EDGED_ENGINE__DEVICE": "cuda", "EDGED_ENGINE__DEVICES": "0,1"}),
        ({"MAX_SEQ_LEN": "4096"}, {"EDGED_ENGINE__DEVICE": "auto", "EDGED_ENGINE__MAX_SEQ_LEN": "4096"}),
        ({"DEVICE": "tpu"}, "DEVICE=tpu: must be"),
        ({"QUANTIZATION": "fp16"}, "QUANTIZATION=fp16"),
        ({"MAX_SEQ_LEN": "4k"}, "MAX_SEQ_LEN=4k"),
    ],
)
def test_three_variables_become_configuration(
    tmp_path: Path, given: dict[str, str], expected: dict[str, str] | str
) -> None:
    program = tmp_path / "edged"
    program.write_text('#!/bin/sh\nenv | grep "^EDGED_"\necho "args: $*"\n')
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", **given}
    done = subprocess.run([ENTRYPOINT, "serve"], env=environ, capture_output=True, text=True, timeout=20, check=False)
    if isinstance(expected, str):
        assert done.returncode == 2 and expected in done.stderr and len(done.stderr.splitlines()) == 1
        return
    lines = done.stdout.splitlines()
    assert lines[-1] == "args: serve"
    assert dict(line.split("=", 1) for line in lines[:-1]) == expected


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    require("debootstrap", "chroot")
    folder = tmp_path_factory.mktemp("image")
    base = bootstrap(folder / "debian", "ca-certificates")
    # The build's network is this machine's, with its own authority where it has one.
    for name in ("resolv.conf", "hosts", "pip.conf", "xdg/pip", "ssl/certs/ca-certificates.crt"):
        if (source := Path("/etc") / name).exists():
            (base / "etc" / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", "--dereference", source, base / "etc" / name], check=True)
    yield Image(ROOT / "Dockerfile", base, folder / "stages")
    shutil.rmtree(folder, ignore_errors=True)


ISOLATED = """
set -e
ip link set lo up
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs -o size=256m,mode=1777 tmpfs "$1/tmp"
mount -t tmpfs -o uid=10001,gid=10001,mode=0700 tmpfs "$1/run/edged"
for volume in edged edged-key; do mkdir "$2/$volume"; chown 10001:10001 "$2/$volume"; chmod 700 "$2/$volume"
mount --bind "$2/$volume" "$1/var/lib/$volume"; done
mount -o remount,bind,ro "$1"
shift 2
exec "$@"
"""
"""A network of its own with loopback alone, and no place to write but those that compose.yaml gives."""
USED = """
touch /usr/x 2>/dev/null && exit 3
edged-container serve 2>/tmp/log & pid=$!
python3 -c '
import json, sys, time, urllib.request
url = "http://127.0.0.1:8000/v1/"
for attempt in range(240):
    try:
        urllib.request.urlopen(url + "models", timeout=5).close()
        break
    except OSError:
        time.sleep(0.5)
question = {"role": "user", "content": "What is the capital of France? One word."}
body = json.dumps({"model": "autoglm-phone-9b", "temperature": 0, "messages": [question]}).encode()
print(urllib.request.urlopen(urllib.request.Request(url + "chat/completions", body, {
    "content-type": "application/json", "authorization": "Bearer EMPTY"}), timeout=120).read().decode())
'
edged status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])'
kill -TERM $pid; wait $pid; echo "ended with $?"
cat /tmp/log
"""


@pytest.mark.vm
@pytest.mark.timeout(3000)
def test_the_cpu_image_answers_without_a_network(image: Image, tmp_path: Path) -> None:
    """As compose.yaml runs it."""
    stage = image.build("cpu")
    tmp_path.chmod(0o755)
    isolated = ["unshare", "--net", "--mount", "sh", "-c", ISOLATED, "sh", stage.root, tmp_path]
    done = subprocess.run(
        [*isolated, *stage.command("sh", "-c", USED)], capture_output=True, text=True, timeout=600, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert done.stdout.startswith("{"), said
    assert "Paris" in json.loads(done.stdout.splitlines()[0])["choices"][0]["message"]["content"], said
    assert "\nserving\nended with 0\n" in done.stdout, said
    assert "Uvicorn running on http://0.0.0.0:8000" in said
    assert "loaded successfully with INT4 quantization." in said
