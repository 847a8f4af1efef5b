"""Judges from outside on the HTTP API of a daemon: packages that programs use, LangChain's tests, and schemathesis."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edged.audio.pcm import to_wav
from tests.e2e.program import Home, short_folder
from tests.e2e.test_http import free_port
from tests.speech.voices import noise, spoken
from tests.vision.menu import menu

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
OUTSIDE = Path(__file__).parent / "outside/openai"
DEFAULT = "smollm2-135m"
QUESTION = "What is the capital of France?"
SECONDS = 280
PLACE, KEYS = ["city", "people"], ["field", "BadRequestError", 400, "temperature"]
SAID = [
    ["openai", "chat", ["assistant", True, "length"]],
    ["openai", "stream", [True, 8]],
    ["openai", "json_schema", [PLACE, True]],
    ["openai", "image", True],
    ["openai", "audio", True],
    ["openai", "transcription", QUESTION],
    ["openai", "speech", "RIFF"],
    ["openai", "models", True],
    ["openai", "errors", [KEYS, ["model", "NotFoundError", 404, None]]],
    ["ai", "chat", [True, "length"]],
    ["ai", "stream", [True, 8]],
    ["ai", "json_schema", PLACE],
    ["ai", "image", True],
    ["ai", "audio", True],
    ["ai", "completion", [True, "length"]],
    ["ai", "embeddings", [384, True]],
    ["ai", "errors", [True, 404]],
]
NOT_THERE = {
    "Model does not support PDF inputs.",
    "Model does not support PDF tool message.",
    "Model does not explicitly support Anthropic inputs.",
    "VCR not set up.",
}
"""What LangChain's tests say of capabilities that the API lacks: it reads no PDF, and Anthropic has another API. The
last one compares with recorded answers of a service."""
TOOLS_SAID = [
    ["openai", "tool", ["tool_calls", "go_to", PLACE]],
    ["openai", "tool streamed", ["go_to", PLACE]],
    ["openai", "tool result", "assistant"],
    ["ai", "tool", [[True, False], PLACE]],
    ["ai", "tool streamed", [2, PLACE]],
]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """Of a daemon with the default engine."""
    if not (ROOT / "build/engines" / DEFAULT).is_dir():
        pytest.skip("the default engine is not built")
    with short_folder() as folder:
        more = {"EDGED_ENGINE__THREADS": "2", "EDGED_ENGINE__KV_CACHE_MB": "256"}
        home = Home(folder, ROOT / "build/engines", DEFAULT, more)
        address = f"127.0.0.1:{free_port()}"
        with home.daemon("--http", address) as daemon:
            yield f"http://{address}/v1"
            assert "internal error" not in daemon.log.read_text()


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment that has nothing of this repository."""
    folder = tmp_path_factory.mktemp("judges")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=SECONDS)
    pip = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", OUTSIDE / "requirements.txt"], check=True, timeout=SECONDS)
    return folder / "bin"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording and a picture."""
    folder = tmp_path_factory.mktemp("material")
    question = np.concatenate([noise(0.5), spoken(QUESTION), noise(0.5)])
    (folder / "question.wav").write_bytes(to_wav(question))
    menu().save(folder / "menu.png")
    return folder


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client in JavaScript and what it needs."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed (apt-get install npm)")
    folder = tmp_path_factory.mktemp("node")
    for name in ("client.mjs", "package.json", "package-lock.json", ".npmrc"):
        shutil.copy(OUTSIDE / name, folder)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", folder=folder)
    return folder


def finish(*command: str | Path, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A program to its end; it is told nothing but where it is."""
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def run(*command: str | Path, folder: Path, **environ: str) -> str:
    """What a program that succeeds prints."""
    done = finish(*command, folder=folder, **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("what", "said"), [("rest", SAID), ("tools", TOOLS_SAID)], ids=["rest", "tools"])
def test_programs_in_javascript(node: Path, material: Path, base_url: str, what: str, said: list[object]) -> None:
    printed = run("node", "client.mjs", what, base_url, material / "question.wav", material / "menu.png", folder=node)
    assert [json.loads(line) for line in printed.splitlines()] == said


def test_langchain(judges: Path, material: Path, base_url: str, tmp_path: Path) -> None:
    """All of its tests; those that it skips are listed, by what is not there."""
    shutil.copy(OUTSIDE / "langchain_chat.py", tmp_path)
    modes = ("asyncio_mode=auto", "asyncio_default_test_loop_scope=session")  # its clients are kept between tests
    options = [word for mode in modes for word in ("-o", mode)]
    command = (judges / "python", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--timeout", "100", *options)
    printed = run(*command, "langchain_chat.py", folder=tmp_path, BASE_URL=base_url, MATERIAL=str(material))
    assert set(re.findall(r"^SKIPPED .*?\.py:\d+: (.*)$", printed, re.MULTILINE)) == NOT_THERE
    passed = re.search(r"(\d+) passed", printed)
    assert passed and int(passed[1]) >= 40, printed


@pytest.fixture
def described(home: Home) -> Iterator[str]:
    """Where a daemon with a tiny engine describes its API; beside it is what schemathesis has to know."""
    for name in ("schemathesis.toml", "schemathesis_hooks.py"):
        shutil.copy(OUTSIDE / name, home.folder)
    address = f"127.0.0.1:{free_port()}"
    with home.daemon("--http", address, EDGED_SAMPLING__MAX_TOKENS="4") as daemon:
        yield f"http://{address}/openapi.json"
        log = daemon.log.read_text()
        assert "internal error" not in log and "broke" not in log


SCHEMATHESIS = ("run", "--checks", "all", "--seed", "1", "--no-color", "--request-timeout", "30")


@pytest.mark.parametrize("paths", ["^/v1/chat", "^/v1/(comp|emb|mod)|^/(health|metrics)", "^/v1/audio"])
def test_schemathesis(judges: Path, home: Home, described: str, paths: str) -> None:
    """With every check that it has, on the daemon's own description of its API; as often as fits in a minute."""
    options = (described, "--include-path-regex", paths, "--max-time", "60")
    run(judges / "schemathesis", *SCHEMATHESIS, *options, folder=home.folder)


@pytest.mark.parametrize(
    ("path", "lie", "complaint"),
    [
        ("components/schemas/ChatCompletion/properties/created/type", "string", "Response violates schema"),
        ("components/schemas/ChatCompletion/required/0", "surprise", "Response violates schema"),
        ("components/schemas/EmbeddingList/properties/object/const", "array", "Response violates schema"),
        ("paths/~v1~completions/post/responses/200", None, "Undocumented status code"),
    ],
)
def test_schemathesis_finds_what_is_wrong(
    judges: Path, home: Home, described: str, path: str, lie: object, complaint: str
) -> None:
    """In a description that was tampered with; else the test before would show nothing."""
    with urllib.request.urlopen(described) as answer:
        told = json.load(answer)
    *steps, last = (step.replace("~", "/") for step in path.split("/"))
    place = told
    for step in steps:
        place = place[step]
    if isinstance(place, list):
        place[int(last)] = lie
    else:
        place.pop(last)
        place |= {last: lie} if lie else {}
    (home.folder / "lie.json").write_text(json.dumps(told))
    options = ("--url", described.removesuffix("/openapi.json"), "--phases", "examples", "lie.json")
    done = finish(judges / "schemathesis", *SCHEMATHESIS, *options, folder=home.folder)
    assert done.returncode == 1 and complaint in done.stdout
