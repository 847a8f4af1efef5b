"""State directories on a disk that is read-only or full, in a mount namespace that needs no root."""

from __future__ import annotations

import subprocess

from tests.e2e.program import EDGED, SECONDS, Home, require_namespaces

READ_ONLY = """
mount -t tmpfs -o ro tmpfs "$EDGED_STATE_DIR" && exec "$@" ask hello
"""
FULL_FROM_THE_START = """
mount -t tmpfs -o size=64k tmpfs "$EDGED_STATE_DIR" && head -c 1m /dev/zero >"$EDGED_STATE_DIR/filler" 2>/dev/null
exec "$@" ask hello
"""
FULL_LATER = """
mount -t tmpfs -o size=2m tmpfs "$EDGED_STATE_DIR"
"$@" serve 2>/dev/null & daemon=$!
until "$@" status >/dev/null 2>&1; do sleep 0.1; done
until "$@" ask --max-tokens 2 "before" >/dev/null 2>&1; do sleep 0.1; done
head -c 4m /dev/zero >"$EDGED_STATE_DIR/filler" 2>/dev/null
# The first ones may still fit into pages that the database already has.
for i in $(seq 20); do
  "$@" ask --max-tokens 2 "$(head -c 1500 /dev/zero | tr '\\0' x)" >/dev/null || { echo "code $?"; break; }
done
rm "$EDGED_STATE_DIR/filler"
"$@" ask --max-tokens 2 "after" >/dev/null; echo "code $?"
"$@" conversations list
kill $daemon; wait $daemon; echo "code $?"
"""


def run(home: Home, script: str) -> subprocess.CompletedProcess[str]:
    require_namespaces("-rm")
    home.state.mkdir()
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *EDGED],
        env=home.environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def last_line(text: str) -> str:
    return text.splitlines()[-1]


def test_read_only(home: Home) -> None:
    done = run(home, READ_ONLY)
    assert done.returncode == 1
    assert "cannot be used: Read-only file system; set EDGED_STATE_DIR" in last_line(done.stderr)
    assert "Traceback" not in done.stderr


def test_full_from_the_start(home: Home) -> None:
    done = run(home, FULL_FROM_THE_START)
    assert done.returncode == 1
    assert str(home.state) in last_line(done.stderr)
    assert "Traceback" not in done.stderr


def test_full_later_refuses_and_recovers(home: Home) -> None:
    done = run(home, FULL_LATER)
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 1", "code 0", "code 0"], done.stderr
    assert "before" in done.stdout
    assert "after" in done.stdout
    (error,) = [line for line in done.stderr.splitlines() if "cut off" not in line]
    assert "full" in error
    assert "space" in error
