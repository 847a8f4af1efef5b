"""Asyncio client of the daemon: `async with Client("unix:PATH") as client`.

Needs grpc and protobuf and nothing else of the daemon's dependencies.
"""

from edged.client.client import Client, ConversationPage, SearchPage

__all__ = ["Client", "ConversationPage", "SearchPage"]
