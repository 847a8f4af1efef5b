"""The web port: the phone app, and edged's services for browsers and for pairing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from starlette.types import ASGIApp

from edged.server.call_border import CallBorder
from edged.server.listen import ServerIdentity
from edged.server.web.app import WebApp
from edged.server.web.connect import ConnectServices
from edged.server.web.http_server import HttpServer
from edged.server.web.identity import Registry
from edged.server.web.method import methods
from edged.server.web.pages import CA_CERTIFICATE, PHONE, CertificatePage, app_pages
from edged.server.web.tls import server_context
from edged.server.web.websocket import WebSocketMethod

MAX_CONNECTIONS_PER_ADDRESS = 32
"""Browsers open six, and one for each WebSocket."""


class WebServer(HttpServer):
    """Bound by `listen`; `run` belongs in the daemon's TaskGroup."""

    def __init__(
        self,
        *,
        servicers: Mapping[str, object],
        border: CallBorder,
        registry: Registry,
        identity: ServerIdentity,
        ca_certificate: bytes,
        max_message_bytes: int,
        phone: Path = PHONE,
        api: ASGIApp | None = None,
    ) -> None:
        """servicers: those of gRPC and PairingService, by full service name. ca_certificate: in DER.

        max_message_bytes: a longer request is RESOURCE_EXHAUSTED. phone: the folder of the phone app.
        api: the HTTP API; it decides for itself whom it answers.
        """
        calls = ConnectServices(servicers, border, registry, max_message_bytes=max_message_bytes)
        sockets = {
            path: WebSocketMethod(path, method, behaviour, border, registry)
            for path, method, behaviour in methods(servicers)
            if method.client_streaming
        }
        app = WebApp(
            calls=dict.fromkeys(calls.paths, calls),
            sockets=sockets,
            pages={**app_pages(phone), CA_CERTIFICATE: CertificatePage(ca_certificate)},
            api=api,
        )
        tls = server_context(identity)
        super().__init__(app, key="lan.web_port", tls=tls, most_per_address=MAX_CONNECTIONS_PER_ADDRESS)

    def reload(self, identity: ServerIdentity) -> None:
        """Show another certificate to those who connect from here on."""
        self._tls = server_context(identity)
