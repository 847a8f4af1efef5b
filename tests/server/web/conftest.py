"""A web port on a free port of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.web.web_daemon import WebDaemon


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[WebDaemon]:
    daemon = WebDaemon(tmp_path)
    daemon.port = int(daemon.web.listen("127.0.0.1", 0).rpartition(":")[2])
    async with asyncio.TaskGroup() as group:
        group.create_task(daemon.web.run())
        yield daemon
        daemon.model.release.set()
        await daemon.border.finish(0)
        await daemon.calls.close()
        await daemon.web.close(2)
