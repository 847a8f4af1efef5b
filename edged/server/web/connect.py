"""edged's services over Connect and gRPC-Web, as one ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from connectrpc.errors import ConnectError
from connectrpc.server import ConnectASGIApplication
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edged.errors import PermissionDenied
from edged.server.call_border import CallBorder
from edged.server.web.codec import CODECS
from edged.server.web.context import peer_address
from edged.server.web.gzip_request import BoundedGzip
from edged.server.web.headers import require_same_origin
from edged.server.web.http_call import CallerStuck, HttpCall, Memory, answer_call
from edged.server.web.identity import Registry, identify
from edged.server.web.method import Method, methods
from edged.server.web.request_form import request_form

LARGE_REQUESTS = 4
"""How many of the largest size may be in memory at once."""


class ConnectServices:
    """Answers at `paths`, to the method POST."""

    def __init__(
        self, servicers: Mapping[str, object], border: CallBorder, registry: Registry, *, max_message_bytes: int
    ) -> None:
        """servicers: by full service name."""
        self._registry = registry
        self._max_message_bytes = max_message_bytes
        self._memory = Memory(LARGE_REQUESTS * max_message_bytes)
        endpoints = {
            path: Method(path, method, behaviour, border).endpoint() for path, method, behaviour in methods(servicers)
        }
        self.paths = frozenset(endpoints)
        self._connect = _Application(
            service=None, endpoints=lambda _: endpoints, compressions=(BoundedGzip(),), codecs=CODECS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        try:
            require_same_origin(headers)
        except PermissionDenied as exc:
            await Response(exc.message, 403, media_type="text/plain")(scope, receive, send)
            return
        form = request_form(headers)
        if isinstance(form, HTTPStatus):
            await Response(form.phrase, form, media_type="text/plain")(scope, receive, send)
            return
        call = HttpCall(
            scope,
            receive,
            send,
            form=form,
            identify=lambda: identify(self._registry, scope["path"], headers, peer_address(scope)),
            max_message_bytes=self._max_message_bytes,
            memory=self._memory,
        )
        answer_call(call)
        try:
            await self._connect({**scope, "headers": form.headers}, call.receive, call.send)
        except (asyncio.CancelledError, ConnectError, CallerStuck):
            if not call.is_gone:
                raise
        finally:
            await call.close()


class _Application(ConnectASGIApplication[None]):
    @property
    def path(self) -> str:
        return "/"
