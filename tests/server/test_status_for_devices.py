"""What the status says to whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edged import wire
from edged.records import DaemonState, DaemonStatus, PrivacyStatus, Refusal, Scope, StoreStatus
from edged.server.caller import Caller, answer_for
from edged.server.status import StatusServicer
from edged.v1 import status_pb2
from tests.server.scripted import ScriptedModel
from tests.server.web.web_daemon import phone

STORE = StoreStatus(
    database="/var/lib/edged/edged.db",
    encrypted=True,
    key_source="/etc/edged/database.key",
    database_bytes=9,
    conversations=9,
    messages=9,
    protection="Copies cannot be read without /etc/edged/database.key.",
    retention="Nothing is deleted by itself.",
    oldest_message_at=datetime(2026, 11, 27, tzinfo=UTC),
    attachments=9,
    attachment_bytes=9,
    voiceprints=9,
    devices=9,
    api_keys=9,
    incognito_conversations=9,
)
STATUS = DaemonStatus(
    version="1",
    state=DaemonState.SERVING,
    started_at=datetime(2026, 11, 27, tzinfo=UTC),
    listening_on=("unix:/run/edged/socket",),
    engine=ScriptedModel().status(),
    store=STORE,
    privacy=PrivacyStatus(
        enforcements=(), refused_connections=1, content_logging=False, refusals=(Refusal(call="connect", count=1),)
    ),
)


async def told(who: Caller) -> DaemonStatus:
    async def report() -> DaemonStatus:
        return STATUS

    answer_for(who)
    response = await StatusServicer(report).GetStatus(status_pb2.GetStatusRequest(), None)
    return wire.status_from_wire(response)


@pytest.mark.parametrize("who", [Caller(), Caller(device=phone("own", *Scope))], ids=["operator", "administrator"])
async def test_who_administers_it_is_told_all(who: Caller) -> None:
    assert await told(who) == STATUS


async def test_a_device_is_not_told_where_things_lie_nor_how_much_there_is() -> None:
    seen = await told(Caller(device=phone("chat", Scope.CHAT)))
    nothing = StoreStatus(
        database="",
        encrypted=True,
        key_source="",
        database_bytes=0,
        conversations=0,
        messages=0,
        protection=seen.store.protection,
        retention=STORE.retention,
    )
    assert seen == replace(STATUS, listening_on=(), store=nothing)
    assert "database.key" not in seen.store.protection
