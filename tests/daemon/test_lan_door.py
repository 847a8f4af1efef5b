"""The doors for devices while time passes: networks come and go, certificates end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edged.config import Config, load_config
from edged.daemon import lan as lan_module
from edged.daemon.lan import Lan
from edged.errors import Unavailable
from tests.server.device_store import no_devices
from tests.server.scripted import until


@pytest.fixture
def config(tmp_path: Path) -> Config:
    environ = {"HOME": str(tmp_path), "EDGED_STATE_DIR": str(tmp_path / "state"), "EDGED_LAN__ENABLED": "true"}
    return load_config(environ)


def door(config: Config) -> Lan:
    return Lan(config, no_devices(), asyncio.get_running_loop())


async def test_a_daemon_is_announced_anew_where_its_addresses_change(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Sequence[str]] = []

    class Heard:
        def __init__(self, *, addresses: Sequence[str], **_: Any) -> None:
            self.addresses = addresses

        async def start(self) -> bool:
            said.append(self.addresses)
            return bool(self.addresses)

        async def close(self) -> None:
            said.append(["goodbye"])

    has = ["127.0.0.1"]
    monkeypatch.setattr(lan_module, "own_addresses", lambda: tuple(has))
    monkeypatch.setattr(lan_module, "Announcer", Heard)
    monkeypatch.setattr(lan_module, "LOOK_SECONDS", 0.01)
    announcing = asyncio.create_task(door(config)._announce())
    await until(lambda: said)
    has.insert(0, "192.168.7.2")
    await until(lambda: len(said) == 3)
    await asyncio.sleep(0.05)
    announcing.cancel()
    await asyncio.gather(announcing, return_exceptions=True)
    assert said == [["127.0.0.1"], ["goodbye"], ["192.168.7.2", "127.0.0.1"], ["goodbye"]]


async def test_pairing_shows_first_what_the_operator_named(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a container the machine's own addresses mean nothing to a phone."""
    monkeypatch.setattr(lan_module, "own_addresses", lambda: ("172.18.0.2", "192.168.7.2"))
    named = replace(config, lan=replace(config.lan, hosts="192.168.7.2, edged.home"))
    found = [url.partition(":")[0] for url in door(named)._web_addresses()]
    assert found == ["192.168.7.2", "edged.home", "172.18.0.2"]


async def test_where_there_is_no_address_there_is_no_pairing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan_module, "own_addresses", lambda: ("fe80::1%eth0",))
    with pytest.raises(Unavailable, match="no network address"):
        await door(config).desk.open(frozenset(), "", None)


async def test_the_web_port_shows_what_was_renewed(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan_module, "RENEWAL_SECONDS", 0.01)
    lan, shown = door(config), []

    class Web:
        def reload(self, identity: Any) -> None:
            shown.append(identity)

    renewing = asyncio.create_task(lan._renew(Web()))  # type: ignore[arg-type]
    await asyncio.sleep(0.1)
    assert shown == []
    lan.authority._now = lambda: datetime.now(UTC) + timedelta(days=370)
    await until(lambda: shown)
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)
    assert shown[0] is lan._identity and len(shown) == 1
