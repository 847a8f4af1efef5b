"""The container: its files as linters and its entrypoint see them, and its steps run as they stand in a clean root."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.compose import compose, mounting
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


def started(entrypoint: Path, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """With a program in the daemon's place that says what it was given."""
    program = folder / "edged"
    program.write_text('#!/bin/sh\nenv | grep "^EDGED_"\necho "args: $*"\necho serving >&2\n')
    program.chmod(0o755)
    whole = {"PATH": f"{folder}:/usr/bin:/bin", **environ}
    return subprocess.run([entrypoint, "serve"], env=whole, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"EDGED_ENGINE__DEVICE": "auto"}),
        ({"DEVICE": "cpu", "QUANTIZATION": "int4"}, {"EDGED_ENGINE__DEVICE": "cpu"}),
        ({"DEVICE": "cuda:0,1"}, {"EDGED_ENGINE__DEVICE": "cuda", "EDGED_ENGINE__DEVICES": "0,1"}),
        ({"MAX_SEQ_LEN": "4096"}, {"EDGED_ENGINE__DEVICE": "auto", "EDGED_ENGINE__MAX_SEQ_LEN": "4096"}),
        ({"DEVICE": "tpu"}, "DEVICE=tpu: must be"),
        ({"DEVICE": "cuda:"}, "DEVICE=cuda:: must be"),
        ({"DEVICE": "cuda:all"}, "DEVICE=cuda:all: must be"),
        ({"DEVICE": "tensorrt"}, "DEVICE=tensorrt: no image has TensorRT; take cuda"),
        ({"QUANTIZATION": "int8"}, "QUANTIZATION=int8: it must be int4 or unset"),
        ({"MAX_SEQ_LEN": "4k"}, "MAX_SEQ_LEN=4k"),
    ],
)
def test_three_variables_become_configuration(
    tmp_path: Path, given: dict[str, str], expected: dict[str, str] | str
) -> None:
    done = started(ENTRYPOINT, tmp_path, given)
    if isinstance(expected, str):
        assert done.returncode == 2 and expected in done.stderr and len(done.stderr.splitlines()) == 1
        return
    lines = done.stdout.splitlines()
    assert lines[-1] == "args: serve"
    assert dict(line.split("=", 1) for line in lines[:-1]) == expected


@pytest.fixture
def with_logs(tmp_path: Path) -> Path:
    """The entrypoint, with a folder of the test where /logs is."""
    (tmp_path / "logs").mkdir()
    script = tmp_path / "entrypoint"
    script.write_text(ENTRYPOINT.read_text().replace("/logs", str(tmp_path / "logs")))
    script.chmod(0o755)
    return script


def test_what_the_daemon_says_is_in_the_log_of_the_container_and_in_a_file(with_logs: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert started(with_logs, tmp_path, {}).stderr == "serving\n"
    assert (tmp_path / "logs/edged.log").read_text() == "serving\n" * 2


def test_a_large_log_is_put_aside_at_the_start(with_logs: Path, tmp_path: Path) -> None:
    (tmp_path / "logs/edged.log.1").write_text("the one before")
    (tmp_path / "logs/edged.log").write_bytes(bytes(10 * 2**20 + 1))
    started(with_logs, tmp_path, {})
    assert (tmp_path / "logs/edged.log.1").stat().st_size == 10 * 2**20 + 1
    assert (tmp_path / "logs/edged.log").read_text() == "serving\n"


def test_a_log_that_cannot_be_written_is_said_with_what_to_do_and_is_no_obstacle(
    with_logs: Path, tmp_path: Path
) -> None:
    (tmp_path / "logs/edged.log").mkdir()
    done = started(with_logs, tmp_path, {})
    said, *rest = done.stderr.splitlines()
    assert "edged.log cannot be written" in said and "sudo chown" in said
    assert rest == ["serving"] and "args: serve" in done.stdout


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


USED = """
touch /usr/x 2>/dev/null && exit 3
touch /models/x 2>/dev/null && exit 4
edged-container serve & pid=$!
python3 -c '
import json, sys, time, urllib.request
url = "http://127.0.0.1:8000/v1/"
for attempt in range(240):
    try:
        urllib.request.urlopen(url + "models", timeout=5).close()
        break
    except OSError:
        time.sleep(0.5)
def post(path, **body):
    headers = {"content-type": "application/json", "authorization": "Bearer EMPTY"}
    asked = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(asked, timeout=120))
question = {"role": "user", "content": "What is the capital of France? One word."}
answer = post("chat/completions", model="autoglm-phone-9b", temperature=0, messages=[question])
vectors = post("embeddings", model="all-minilm-l6-v2", input=["a cat", "tax law"])["data"]
print(json.dumps({"answer": answer, "dimensions": [len(one["embedding"]) for one in vectors]}))
'
edged status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])'
kill -TERM $pid; wait $pid; echo "ended with $?"
cat /logs/edged.log
"""


@pytest.mark.vm
@pytest.mark.timeout(3000)
def test_the_cpu_image_answers_without_a_network(image: Image, tmp_path: Path) -> None:
    """As compose.yaml runs it, with a network of its own that has loopback alone."""
    stage = image.build("cpu")
    tmp_path.chmod(0o755)
    service = compose()["services"]["edged"]
    assert stage.user == service["user"]
    isolated = ["unshare", "--net", "--mount", "sh", "-c", mounting(service, stage.root, tmp_path), "sh"]
    used = stage.command("sh", "-c", USED, extra=service["environment"])
    done = subprocess.run([*isolated, *used], capture_output=True, text=True, timeout=600, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert done.stdout.startswith("{"), said
    told = json.loads(done.stdout.splitlines()[0])
    assert "Paris" in told["answer"]["choices"][0]["message"]["content"], said
    assert told["dimensions"] == [384, 384]
    assert "\nserving\nended with 0\n" in done.stdout, said
    assert "Uvicorn running on http://0.0.0.0:8000" in said
    assert "loaded successfully with INT4 quantization." in said
