"""`python -m tests.fuzz [--seconds N] [NAME ...]`: every parser under atheris, which coverage guides.

libFuzzer ends a run at the first input that raises, hangs (10 s) or takes memory (2 GiB), and keeps that input.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each of them")
    parser.add_argument("--finds", type=Path, default=Path("build/fuzz"), help="where inputs are kept that break one")
    parser.add_argument("names", nargs="*", choices=[*TARGETS, []], help="all of them where none is named")
    options = parser.parse_args()
    options.finds.mkdir(parents=True, exist_ok=True)
    broken = [name for name in options.names or TARGETS if not passes(name, options.seconds, options.finds)]
    print(f"broken: {', '.join(broken)}" if broken else "nothing broke")
    return 1 if broken else 0


def passes(name: str, seconds: int, finds: Path) -> bool:
    """Run one in a process of its own; prints how many inputs it was fed."""
    with tempfile.TemporaryDirectory() as corpus:
        for number, example in enumerate(TARGETS[name].examples()):
            (Path(corpus) / str(number)).write_bytes(example)
        limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            name,
            *limits,
            f"-artifact_prefix={finds}/{name}-",
            corpus,
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    executed = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    print(f"{name}: {executed[0].split()[-1] if executed else '?'} inputs, exit code {done.returncode}", flush=True)
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-20:] + done.stderr.splitlines()[-20:]))
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
