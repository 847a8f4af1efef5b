"""What is answered at which path."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from email.utils import formatdate

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edged.errors import where_it_broke
from edged.server.web.headers import SECURITY

_log = logging.getLogger("edged.server.web")
API = "/v1/"
_READ = ("GET", "HEAD")
_CALL = ("POST",)


class WebApp:
    """The ASGI application of the web port. Paths are looked up whole; there are no patterns but the API's."""

    def __init__(
        self,
        *,
        calls: Mapping[str, ASGIApp],
        sockets: Mapping[str, ASGIApp],
        pages: Mapping[str, ASGIApp],
        api: ASGIApp | None = None,
    ) -> None:
        """By path: calls for POST, sockets for WebSockets, pages for GET and HEAD.

        api: for what is below /v1/; it knows its paths and methods itself.
        """
        self._sockets = sockets
        self._api = api
        self._others = {path: (_READ, page) for path, page in pages.items()} | {
            path: (_CALL, call) for path, call in calls.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take one WebSocket."""
        has_begun = False

        async def with_headers(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"].endswith("http.response.start"):  # a WebSocket's refusal too
                date = (b"date", formatdate(usegmt=True).encode())
                message = {**message, "headers": [*message["headers"], date, *SECURITY]}
            await send(message)

        try:
            await self._answer(scope)(scope, receive, with_headers)
        except Exception as exc:
            # The process border: whatever it is, the caller gets a status.
            _log.error("an answer on the web port broke\n%s", where_it_broke(exc))
            if has_begun:
                raise  # the server below closes the connection
            await _plain(500, "internal error; the daemon's log says where")(scope, receive, with_headers)

    def _answer(self, scope: Scope) -> ASGIApp:
        if scope["type"] == "websocket":
            return self._sockets.get(scope["path"]) or _plain(404, "not found")
        if self._api and scope["path"].startswith(API):
            return self._api
        methods, answer = self._others.get(scope["path"], ((), None))
        if answer is None:
            return _plain(404, "not found")
        if scope["method"] not in methods:
            return _plain(405, "wrong method", allow=", ".join(methods))
        return answer


def _plain(status: int, text: str, **headers: str) -> Response:
    return Response(text, status, headers=headers, media_type="text/plain")
