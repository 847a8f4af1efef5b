"""The programs in clients/python do what their first lines say."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import Daemon

EXAMPLES = Path(__file__).resolve().parents[2] / "clients" / "python"


async def run(name: str, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_ask_and_conversations(daemon: Daemon) -> None:
    code, out, err = await run("ask.py", daemon.address, "What is the capital of France?")
    assert (code, out) == (0, "Paris.\n")
    assert "[conversation c1]" in err
    assert (await run("conversations.py", daemon.address))[1] == "c1  2026-01-02 03:04  untitled\n"
    assert (await run("conversations.py", daemon.address, "capital", "of"))[1].startswith("c1  user: What is")


@pytest.mark.parametrize("name", ["ask.py", "conversations.py"])
async def test_failures_are_one_line(name: str, run_dir: Path) -> None:
    code, out, err = await run(name, f"unix:{run_dir}/s", "Hello")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert (await run(name))[0] == 2


@pytest.mark.parametrize("name", ["ask.py", "conversations.py"])
def test_they_import_what_clients_may(name: str) -> None:
    source = (EXAMPLES / name).read_text()
    assert set(re.findall(r"from (edged\S*)", source)) <= {"edged.client", "edged.events", "edged.errors"}
    assert len(source.splitlines()) <= 60
