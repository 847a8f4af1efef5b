"""Memory: conversations in one encrypted SQLite file.

`ConversationStore` is synchronous; `AsyncStore` runs it on a thread of its own.
"""

from edged.store.asynchronous import AsyncStore
from edged.store.key import KeySource
from edged.store.store import ConversationStore

__all__ = ["AsyncStore", "ConversationStore", "KeySource"]
