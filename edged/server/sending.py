"""Responses of a stream, to callers that may have stopped reading."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from edged.errors import Unavailable

SEND_SECONDS = 60.0


async def send(context: grpc.aio.ServicerContext, response: Any) -> None:
    """Raises Unavailable where the caller takes nothing for a minute: what it holds is somebody else's, too."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await context.write(response)
    except TimeoutError:
        raise Unavailable("the caller stopped reading, so the call was broken off") from None
