"""How much of what is kept, as the privacy report says it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from talking import ask, picture, recording, talk

from edged.records import OPERATOR, DeviceKind
from edged.store import ConversationStore
from tests.store.test_store_devices import known


def test_everything_is_counted(store: ConversationStore) -> None:
    empty = store.status()
    assert empty.oldest_message_at is None and empty.database_bytes > 0
    assert (empty.attachments, empty.attachment_bytes, empty.voiceprints, empty.devices, empty.api_keys) == (0,) * 5
    first = talk(store, "Hello").conversation_id
    ask(store, picture(b"p" * 5000), recording(b"r" * 70), conversation_id=first)
    ask(store, picture(b"p" * 5000))  # kept once
    store.add_speaker("Anna", np.ones(256, np.float32))
    store.add_device(known())
    key = known("d2", credential=b"k" * 32)
    store.add_device(replace(key, device=replace(key.device, kind=DeviceKind.API_KEY)))
    full = store.status()
    assert (full.conversations, full.messages) == (2, 6)
    assert (full.attachments, full.attachment_bytes) == (2, 5070)
    assert (full.voiceprints, full.devices, full.api_keys) == (1, 1, 1)
    assert full.oldest_message_at == store.get(first, reader=OPERATOR).messages[0].created_at
