"""A camera for `edged privacy prove`: MJPEG on loopback, as one on the LAN sends it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec

_HEAD_SECONDS = 10.0
_BETWEEN_SECONDS = 0.05
_STREAM = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


@asynccontextmanager
async def camera_on_loopback() -> AsyncIterator[str]:
    """What camera.source may say of it for the length of the block; empty where the extra is missing."""
    if not all(find_spec(module) for module in ("PIL", "cv2")):
        yield ""
        return
    jpeg = _picture()
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)

    async def show(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_HEAD_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
            writer.write(_STREAM)
            while True:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(_BETWEEN_SECONDS)
        writer.close()

    server = await asyncio.start_server(show, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


def _picture() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (64, 64), (208, 32, 32)).save(file, "JPEG")
    return file.getvalue()
