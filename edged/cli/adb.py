"""An Android phone at the other end of `adb`, the program that Android's own tools bring.

adb talks to a server of its own that it starts at 127.0.0.1:5037, which talks to phones by USB. It is told to look for
none in the network.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edged.cli.phone_apps import name_of, packages_of
from edged.cli.phone_input import Command, is_typable, shell_line, touching, typing
from edged.cli.phone_words import quoted
from edged.errors import DeviceUnavailable
from edged.records import Launch, PhoneAction, TypeName, TypeText

ADB_SECONDS = 30.0
"""How long one command may take."""
MAX_OUTPUT_BYTES = 4 * 1024 * 1024
"""Of anything but a screenshot."""
MAX_SHOWN_CHARACTERS = 60
"""Of a text that cannot be typed."""
KEYBOARD_PACKAGE = "com.android.adbkeyboard"
KEYBOARD = f"{KEYBOARD_PACKAGE}/.AdbIME"
_FOCUS = re.compile(r"mCurrentFocus=\S+ \S+ ([A-Za-z0-9_.]{1,200})/")
_PNG = b"\x89PNG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """One that is connected and lets itself be driven. Its methods raise DeviceUnavailable."""

    adb: str
    serial: str
    max_screenshot_bytes: int

    async def screenshot(self) -> bytes:
        """The screen as it is, a PNG file."""
        taken = await _output(
            self.adb, "-s", self.serial, "exec-out", "screencap -p", max_bytes=self.max_screenshot_bytes
        )
        if not taken.startswith(_PNG):
            raise DeviceUnavailable("the phone gives no picture of its screen; unlock it, or leave a protected app")
        return taken

    async def app_in_front(self) -> str:
        """Its name, or its package; empty where the phone does not say."""
        shown = await self._shell("dumpsys window | grep mCurrentFocus || true")
        match = _FOCUS.search(shown)
        return name_of(match[1]) if match else ""

    async def perform(self, action: PhoneAction, width: int, height: int) -> str:
        """Do it, on a screen of so many pixels; what a model is told if it cannot be done, else empty."""
        match action:
            case Launch(app=app):
                return await self._launch(app)
            case TypeText(text=text) | TypeName(text=text):
                return await self._type(text)
            case _:
                if commands := touching(action, width, height):
                    await self._run(commands)
                return ""

    async def _launch(self, app: str) -> str:
        packages = packages_of(app)
        for package in packages:
            start = ("monkey", "-p", package, "-c", "android.intent.category.LAUNCHER", "1")
            with suppress(_Failed):
                await self._run([start])
                return ""
        return "this app is not installed" if packages else "no app of this name is known; open it from the home screen"

    async def _type(self, text: str) -> str:
        if is_typable(text):
            if text:
                await self._run(typing(text))
            return ""
        if KEYBOARD not in (await self._shell("ime list -s -a")).split():
            shown = quoted(text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…")
            raise DeviceUnavailable(
                f"this phone types only the letters of an English keyboard, not {shown}: "
                "install the app ADBKeyboard on it for others"
            )
        earlier = (await self._shell("settings get secure default_input_method")).strip()
        try:
            await self._run([("ime", "enable", KEYBOARD), ("ime", "set", KEYBOARD)])
            encoded = base64.b64encode(text.encode()).decode()
            # To that app alone: any other could listen for what is typed.
            typed = ("am", "broadcast", "-a", "ADB_INPUT_B64", "-p", KEYBOARD_PACKAGE, "--es", "msg", encoded)
            await self._run([typed])
        finally:
            if "/" in earlier:
                await self._run([("ime", "set", earlier)])
        return ""

    async def _run(self, commands: Sequence[Command]) -> None:
        await self._shell(shell_line(commands))

    async def _shell(self, line: str) -> str:
        output = await _output(self.adb, "-s", self.serial, "shell", line, max_bytes=MAX_OUTPUT_BYTES)
        return output.decode(errors="replace")


async def connected_phone(serial: str, *, max_screenshot_bytes: int) -> Phone:
    """The phone of that serial number, or the only one. Raises DeviceUnavailable, saying what to do."""
    adb = shutil.which("adb")
    if adb is None:
        raise DeviceUnavailable("adb is not installed: apt-get install adb, or put Android's platform-tools on PATH")
    listed = (await _output(adb, "devices", max_bytes=MAX_OUTPUT_BYTES)).decode(errors="replace")
    return Phone(adb=adb, serial=chosen(listed, serial), max_screenshot_bytes=max_screenshot_bytes)


def chosen(listed: str, serial: str = "") -> str:
    """The serial number, of what `adb devices` lists. Raises DeviceUnavailable."""
    rows = [line.partition("\t") for line in listed.splitlines() if "\t" in line]
    states = {name: state.strip() for name, _, state in rows}
    if not states:
        raise DeviceUnavailable(
            "no phone is connected: plug one in by USB and allow USB debugging in its developer options"
        )
    if serial and serial not in states:
        raise DeviceUnavailable(f"no phone {serial[:60]} is connected; there is {_names(states)}")
    ready = [serial] if serial else [name for name, state in states.items() if state == "device"]
    if len(ready) > 1:
        raise DeviceUnavailable(f"several phones are connected: choose one by --serial, {_names(ready)}")
    name = ready[0] if ready else next(iter(states))
    match states[name].partition(" ")[0]:
        case "device":
            return name
        case "unauthorized":
            raise DeviceUnavailable("the phone asks on its screen whether to allow USB debugging: allow it")
        case "no":  # permissions
            raise DeviceUnavailable(
                "this user may not open the phone by USB: apt-get install android-sdk-platform-tools-common, "
                "then plug it in again"
            )
    raise DeviceUnavailable(f"the phone {name[:60]} is {states[name][:40]}: unlock it and plug it in again")


def _names(names: Iterable[str]) -> str:
    return " or ".join(name[:60] for name in names)


class _Failed(DeviceUnavailable):
    """The command ended with an error."""


async def _output(adb: str, *arguments: str, max_bytes: int) -> bytes:
    """What adb prints. Raises DeviceUnavailable for an error, too much, and too long a time."""
    environment = {**os.environ, "ADB_MDNS": "0"}
    process = await asyncio.create_subprocess_exec(
        adb, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
    )
    try:
        async with asyncio.timeout(ADB_SECONDS):
            output, errors = await asyncio.gather(
                _read(process.stdout, max_bytes), _read(process.stderr, MAX_OUTPUT_BYTES)
            )
            code = await process.wait()
    except TimeoutError:
        raise DeviceUnavailable(f"the phone did not answer within {ADB_SECONDS:g} s; unlock it and try again") from None
    finally:
        await _ended(process)
    if code:
        reason = " ".join((errors or output[:1000]).decode(errors="replace").split())[:200]
        raise _Failed(f"adb failed: {reason or f'exit code {code}'}")
    return output


async def _read(stream: asyncio.StreamReader | None, max_bytes: int) -> bytes:
    data = b""
    while stream and (piece := await stream.read(65536)):
        data += piece
        if len(data) > max_bytes:
            raise DeviceUnavailable(f"adb gave more than {max_bytes} bytes (daemon.max_message_bytes of a screenshot)")
    return data


async def _ended(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
