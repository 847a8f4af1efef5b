"""What the configuration says of the database, in the words of the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from edged.config import Config
from edged.errors import StoreError
from edged.store import AsyncStore, KeySource, Retention

LOOK_SECONDS = 3600.0
_log = logging.getLogger(__name__)


def key_source(config: Config, secret: str) -> KeySource:
    """Where the key is looked for. secret: of `read_secret`."""
    return KeySource(kind=config.store.key, directory=config.key_directory, secret=secret)


def retention(config: Config) -> Retention:
    """How long conversations are kept."""
    kept = config.retention
    days = {"all": kept.days, "devices": kept.device_days, "media": kept.media_days}
    limits = {name: timedelta(days=count) for name, count in days.items() if count}
    return Retention(
        **limits,
        max_bytes=kept.max_mb * 1024**2 or None,
        devices_max_bytes=kept.device_max_mb * 1024**2 or None,
        media_max_bytes=kept.media_max_mb * 1024**2 or None,
    )


async def keep_retention(store: AsyncStore, note: Callable[[str], Awaitable[None]]) -> None:
    """Delete what is past its time now and every hour, until cancelled.

    note: writes into the audit log.
    """
    while True:
        try:
            if count := await store.expire():
                _log.info("conversations past their time, deleted: %d", count)
                await note(f"conversations past their time, deleted: {count}")
        except StoreError as exc:  # a full disk, say: the next hour may be better
            _log.warning("conversations past their time could not be deleted: %s", exc)
        await asyncio.sleep(LOOK_SECONDS)
