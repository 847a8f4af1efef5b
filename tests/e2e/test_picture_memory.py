"""Pictures of every bad kind and the largest good ones through the program: each is answered, and memory comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from PIL import Image as PictureFile

from edged.client import Client
from edged.errors import RemoteError
from edged.events import Image
from tests.e2e.program import DaemonProcess, Home
from tests.vision.menu import encoded, menu
from tests.vision.test_pictures import BAD

MOST_KEPT_BYTES = 150_000_000
"""What the daemon may hold more than after its first picture; decoding one of those below takes half a gigabyte."""
SIDE = 6000


def large(kind: str) -> bytes:
    return encoded(PictureFile.new("RGB", (SIDE, SIDE), "navy"), kind)


def resident_bytes(daemon: DaemonProcess) -> int:
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def settled(daemon: DaemonProcess, least: int) -> int:
    """What it holds once that is no more than `least`, or after a while."""
    for _ in range(100):
        if (held := resident_bytes(daemon)) <= least:
            break
        await asyncio.sleep(0.1)
    return held


async def outcome(client: Client, data: bytes) -> str:
    """ "ok", or why the picture was refused."""
    try:
        await client.vision.describe(Image(data=data, media_type="image/png"))
    except RemoteError as exc:
        return exc.message
    return "ok"


async def test_memory_comes_back(home: Home) -> None:
    small = encoded(menu(640), "JPEG")
    with home.daemon() as daemon:
        async with Client(home.address) as client:
            assert await outcome(client, small) == "ok"  # the networks stay
            before = resident_bytes(daemon)
            for kind, (make, problem) in BAD.items():
                said = await outcome(client, make())
                assert problem in said or "40 MB" in kind, kind
                assert said != "ok" and "\n" not in said
            for data in (encoded(menu(4000), "JPEG"), large("JPEG"), large("WEBP"), large("PNG")[:-40]):
                await outcome(client, data)
            assert await settled(daemon, before + MOST_KEPT_BYTES) <= before + MOST_KEPT_BYTES
            assert await outcome(client, small) == "ok"
        daemon.stop()
        assert "Traceback" not in daemon.log.read_text()
