"""llama.cpp in an environment of its own, so that its packages never meet ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from tests.docs import ROOT

REQUIREMENTS = ("llama-cpp-python==0.3.36", "numpy>=2.0")
WORKER = ROOT / "tests" / "bench" / "llama_cpp_worker.py"


def llama_cpp_python() -> Path:
    """The interpreter of build/peers/llama.cpp; compiles llama.cpp for this processor the first time."""
    folder = ROOT / "build" / "peers" / "llama.cpp"
    python, built = folder / "bin" / "python", folder / ".built"
    if not built.exists():
        print("building llama.cpp in build/peers (needs cmake and a C++ compiler; some minutes) ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *REQUIREMENTS], check=True)
        built.touch()
    return python
