from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.server.api.http_daemon import HttpDaemon


@pytest.fixture
async def daemon() -> AsyncIterator[HttpDaemon]:
    async with HttpDaemon().serving() as daemon:
        yield daemon
