"""TensorRT's builder in a process of its own: what it prints, leaks, or dies of stays there, and it can be killed.

TensorRT-RTX 1.7 crashes when a build is cancelled through its own interface, and writes to stderr by itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from edged.engine.tensorrt_module import load_tensorrt
from edged.errors import ArtefactError, EdgedError, InvalidInput

from .builder import PlanOrder, build_plan

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
_ERRORS = {kind.__name__: kind for kind in (ArtefactError, InvalidInput, EdgedError)}


def build_apart(order: PlanOrder, plan: Path) -> None:
    """As `build_plan`, in a child process that does not outlive this call.

    Raises what it raises, and EdgedError when the child is killed.
    """
    command = [sys.executable, "-P", "-m", __name__, str(plan), str(os.getpid())]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        said, _ = child.communicate(json.dumps(asdict(order), default=str))
    finally:
        child.kill()
        child.wait()
    if child.returncode == 0:
        return
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        reason = "out of memory?" if name == "SIGKILL" else "a fault of TensorRT"
        raise EdgedError(f"TensorRT's builder was ended by {name} ({reason}): {order.graph.name} for {order.target}")
    answer = json.loads(said or "{}")
    if answer.get("errno"):
        raise OSError(answer["errno"], os.strerror(answer["errno"]), str(plan))
    raise _ERRORS.get(answer.get("kind", ""), EdgedError)(
        answer.get("message", "TensorRT's builder ended without a word")
    )


def main() -> int:
    """Build what stdin asks for; what goes wrong is told on stdout."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != int(sys.argv[2]):  # it has died already
            return 1
    shown = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # the libraries' own words
    sys.stderr = os.fdopen(shown, "w", encoding="utf-8")
    given = json.load(sys.stdin)
    profiles = [{name: (low, usual, most) for name, (low, usual, most) in each.items()} for each in given["profiles"]]
    order = PlanOrder(**(given | {"graph": Path(given["graph"]), "profiles": profiles}))
    try:
        build_plan(load_tensorrt(), order, Path(sys.argv[1]))
    except EdgedError as exc:
        sys.stdout.write(json.dumps({"kind": type(exc).__name__, "message": exc.message}))
        return 1
    except OSError as exc:
        sys.stdout.write(json.dumps({"errno": exc.errno}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
