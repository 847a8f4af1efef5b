"""Where CI=true a test that skips fails, in tests and at import, but for what a build machine may lack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_skips():
    pytest.skip("no such package")

@pytest.mark.gpu
def test_gpu():
    pytest.skip("no GPU")

@pytest.mark.system
def test_system():
    raise AssertionError("runs only on request")

@pytest.mark.xfail
def test_known():
    raise AssertionError
"""
SKIPPED_FILE = "import pytest\npytest.importorskip('no_such_module')\n"


def outcome(folder: Path, content: str, **environ: str) -> str:
    (folder / "test_it.py").write_text(content)
    (folder / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    markers = "-o markers=gpu\nsystem"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", markers],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("environ", "summary"),
    [
        ({}, "2 skipped, 1 deselected, 1 xfailed"),
        ({"CI": "true"}, "1 failed, 1 skipped, 1 deselected, 1 xfailed"),
    ],
)
def test_tests_that_skip(tmp_path: Path, environ: dict[str, str], summary: str) -> None:
    said = outcome(tmp_path, TESTS, **environ)
    assert summary in said, said
    assert ("no such package" in said) == bool(environ)


@pytest.mark.parametrize(("environ", "summary"), [({}, "1 skipped"), ({"CI": "true"}, "1 error")])
def test_files_that_skip(tmp_path: Path, environ: dict[str, str], summary: str) -> None:
    assert summary in outcome(tmp_path, SKIPPED_FILE, **environ)
