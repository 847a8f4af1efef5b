"""Devices: listed, let in and revoked, at a daemon on the LAN whose desk and ports are real."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from edged.client.daemons import PairedDaemons, Pairing
from edged.client.pairing import Comparing, pair
from edged.config import Config
from edged.errors import EdgedError
from tests.cli.lan_daemon import LanDaemon
from tests.desktop.conftest import Open, Window


@pytest.fixture
def lan(run_dir: Path) -> Iterator[LanDaemon]:
    daemon = LanDaemon(run_dir, run_dir / "s")
    yield daemon
    daemon.end()


async def test_a_device_is_let_in_and_revoked(lan: LanDaemon, window: Open, config: Config) -> None:
    async with window(size=(110, 45)) as seen:
        await seen.until("| ready")
        await seen.press("f9")
        await seen.until("Paired devices", "No device is paired.", "p Pair a device")
        pairing = await join(seen)
        await seen.told("Let in: Desk.")
        await seen.until("Desk: may chat, history, voice; last seen never")
        PairedDaemons(config.paths.config / "daemons").add(replace(pairing, name="kitchen"))
        await seen.press("home", "x")
        await seen.until("Revoke Desk?")
        await seen.press("y")
        await seen.told("Revoked Desk.")
        await seen.until("No device is paired.")
        assert not lan.devices.devices
        await seen.press("escape", "ctrl+o")
        await seen.until("Which daemon?", "kitchen")
        await seen.press("down", "enter")
        await seen.until("The daemon is not reachable: kitchen", "pair it again")


async def test_who_leaves_the_page_closes_the_pairing(lan: LanDaemon, window: Open) -> None:
    async with window(size=(110, 45)) as seen:
        await seen.until("| ready")
        await seen.press("f9")
        await seen.until("No device is paired.")
        await seen.press("p")
        await seen.until("Code:", "Link:")
        code, address = re.findall(r"Code: (\d{3} \d{3}), at (\S+)", seen.text)[0]
        await seen.press("escape")
        await seen.until("No device is paired.")
        async with asyncio.timeout(10):
            while True:
                try:
                    async with aclosing(pair(address, code=code, device_name="Late")) as steps:
                        await anext(steps)
                except EdgedError as exc:
                    assert "no pairing is open" in exc.message
                    return
                await asyncio.sleep(0.1)


async def test_somebody_else_is_not_let_in(lan: LanDaemon, window: Open) -> None:
    async with window(size=(110, 45)) as seen:
        await seen.until("| ready")
        await seen.press("f9")
        await seen.until("No device is paired.")
        with pytest.raises(Exception, match="operator"):
            await join(seen, answer="n")
    assert not lan.devices.devices


async def test_without_the_lan_there_is_nobody_to_pair(run_dir: Path, window: Open) -> None:
    daemon = LanDaemon(run_dir, run_dir / "s", lan=False)
    try:
        async with window() as seen:
            await seen.until("| ready")
            await seen.press("f9")
            await seen.until("No device is paired.")
            await seen.press("p")
            await seen.told("--lan")
            await seen.until("No device is paired.")
    finally:
        daemon.end()


async def join(seen: Window, answer: str = "y") -> Pairing:
    """Another machine pairs while the operator sits at this window."""
    await seen.press("p")
    await seen.until("Scan this with a phone", "Code:", "Fingerprint:", "Link:", "█▀")
    code, address = re.findall(r"Code: (\d{3} \d{3}), at (\S+)", seen.text)[0]
    async with aclosing(pair(address, code=code, device_name="Desk")) as steps:
        compared = await anext(steps)
        assert isinstance(compared, Comparing)
        await seen.until(f"Desk (127.0.0.1) knows the code. Does it show {compared.short_string}?")
        asking = asyncio.ensure_future(anext(steps))
        await seen.press(answer)
        pairing = await asking
        assert isinstance(pairing, Pairing)
        return pairing
