"""Asyncio client of the daemon: `async with Client("unix:PATH") as client`.

Needs grpc and protobuf and nothing else of the daemon's dependencies. `edged.client.daemons` keeps what it takes to
reach daemons elsewhere; to find them and to pair with them, `edged.client.discovery` and `edged.client.pairing` need
the extra `client`.
"""

from edged.client.channel import Credentials
from edged.client.client import Client, ConversationPage, SearchPage
from edged.client.devices import AuditPage, RenewedCertificate

__all__ = ["AuditPage", "Client", "ConversationPage", "Credentials", "RenewedCertificate", "SearchPage"]
