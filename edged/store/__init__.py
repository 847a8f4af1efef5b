"""Memory: conversations in one encrypted SQLite file.

`ConversationStore` is synchronous; `AsyncStore` runs it on a thread of its own.
"""

from edged.store.asynchronous import AsyncStore
from edged.store.key_places import KeySource
from edged.store.retention import Retention
from edged.store.store import ConversationStore

__all__ = ["AsyncStore", "ConversationStore", "KeySource", "Retention"]
