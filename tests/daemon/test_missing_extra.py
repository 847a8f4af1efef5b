from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.program import EDGED, SECONDS, Home, short_folder


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["ask", "hello"],
            "no daemon is running, and this is the bare client: start one, or pip install 'edged[daemon]'",
        ),
        (["serve"], "sqlite_utils is not installed: pip install 'edged[daemon]'"),
    ],
)
def test_bare_client_says_in_one_line_what_it_lacks(arguments: list[str], line: str, tmp_path: Path) -> None:
    blocker = "import sys\nsys.modules['sqlite_utils'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(blocker)
    with short_folder() as folder:
        environ = {**Home(folder, folder / "engines").environ, "PYTHONPATH": os.fspath(tmp_path)}
        done = subprocess.run(
            [*EDGED, *arguments], env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    assert done.returncode == 1 and f"edged: {line}" in done.stderr.splitlines()
