"""An Android phone made of shell scripts, and the `adb` to it.

As the real one does, this `adb shell` joins its arguments by blanks and hands them to the phone's shell, in which
nothing but the phone's own programs is found. What those were called with is noted word by word.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.phone_screen import png

SERIAL = "R58M12ABCDE"
ADB = """#!/bin/sh
[ "$ADB_MDNS" = 0 ] || exit 8
if [ "$1" = devices ]; then exec cat {phone}/devices; fi
if [ "$1" != -s ] || [ "$2" != {serial} ]; then exit 9; fi
case $3 in shell|exec-out) ;; *) exit 10;; esac
shift 3
PATH={phone}/bin exec /bin/sh -c "$*"
"""
NOTED = """#!/bin/sh
printf '%s\\0' {name} "$@" '|' >> {phone}/noted
"""
PROGRAMS = {
    "screencap": '[ "$1" = -p ] && exec /bin/cat {phone}/screen.png',
    "dumpsys": "/bin/cat {phone}/windows",
    "settings": "echo com.example.keys/.Keys",
    "monkey": "[ -e {phone}/apps/$2 ] || {{ echo 'No activities found to run' >&2; exit 252; }}",
    "input": "",
    "am": "",
    "ime": '[ "$1" = list ] && exec /bin/cat {phone}/keyboards; exit 0',
}


class FakePhone:
    """At the other end of the `adb` that is first on PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        for name in ("bin", "apps", "host"):
            (folder / name).mkdir()
        self.lists(f"{SERIAL}\tdevice")
        (folder / "screen.png").write_bytes(png())
        (folder / "windows").write_text("  mCurrentFocus=Window{{1a2 u0 com.tencent.mm/com.tencent.mm.LauncherUI}\n")
        (folder / "keyboards").write_text("com.example.keys/.Keys\n")
        self._write(folder / "host" / "adb", ADB, serial=SERIAL)
        for name, does in PROGRAMS.items():
            self._write(folder / "bin" / name, f"{NOTED}{does}\n", name=name)
        (folder / "bin" / "grep").symlink_to("/bin/grep")
        monkeypatch.setenv("PATH", f"{folder / 'host'}:/usr/bin:/bin")

    def lists(self, *rows: str) -> None:
        """What `adb devices` says."""
        (self.folder / "devices").write_text("List of devices attached\n" + "".join(f"{row}\n" for row in rows) + "\n")

    def has_app(self, package: str) -> None:
        (self.folder / "apps" / package).touch()

    def has_keyboard(self) -> None:
        (self.folder / "keyboards").write_text("com.example.keys/.Keys\ncom.android.adbkeyboard/.AdbIME\n")

    def done(self, *programs: str) -> list[list[str]]:
        """What these programs, by default those that do something, were called with."""
        noted = self.folder / "noted"
        calls: list[list[str]] = [[]]
        for word in noted.read_text().split("\0")[:-1] if noted.exists() else []:
            if word == "|":
                calls.append([])
            else:
                calls[-1].append(word)
        return [call for call in calls[:-1] if call[0] in (programs or ("input", "monkey", "am"))]

    def _write(self, path: Path, script: str, **values: str) -> None:
        path.write_text(script.format(phone=self.folder, **values))
        path.chmod(0o755)
