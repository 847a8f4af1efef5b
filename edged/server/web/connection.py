"""One connection: HTTP/1.1 in the hands of uvicorn, with a clock that uvicorn lacks and no words of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request
from websockets.server import ServerProtocol

from edged.server.web.headers import SECURITY

HEAD_SECONDS = 20.0
"""From the moment that a client may send a request until its headers must be here."""
UNREAD_SECONDS = 90.0
"""How long a client may read nothing while more is written than the connection holds; answers end before, by clocks of
their own, but what they wrote would keep the connection open for as long as the client likes."""
IDLE_SECONDS = 15
"""Between two requests, after which the connection is closed in good order."""
_REFUSAL = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *SECURITY]


class HttpConnection(H11Protocol):
    """Ends when the next request is not here in time."""

    def __init__(
        self, *, config: Config, state: ServerState, loop: asyncio.AbstractEventLoop, on_lost: Callable[[], None]
    ) -> None:
        """on_lost: called once, when it has ended."""
        super().__init__(config=config, server_state=state, app_state={}, _loop=loop)
        self._on_lost = on_lost
        self._clock: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Called by the transport."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport."""
        self._stop_clock()
        self._stop_unread()
        super().connection_lost(exc)
        self._on_lost()

    def pause_writing(self) -> None:
        """Called by the transport when it holds more than it wants."""
        super().pause_writing()
        self._stop_unread()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Called by the transport."""
        self._stop_unread()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Called when a response was handed to the transport."""
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on it is a `WebSocketConnection`, which has clocks of its own."""
        super().handle_websocket_upgrade(event)
        self._stop_clock()
        self._stop_unread()
        other = self.transport.get_protocol()
        assert isinstance(other, WebSocketConnection)
        other.on_lost = self._on_lost

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        if self.conn.our_state is h11.IDLE:
            response = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=_REFUSAL, reason=b"Bad Request")
            self.transport.write(self.conn.send(response) or b"")
            self.transport.write(self.conn.send(h11.Data(data=b"no HTTP request")) or b"")
            self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
            self.transport.close()
        else:  # an answer is under way, into which no other fits
            self.transport.abort()

    def _watch(self) -> None:
        is_owed = self.cycle is None or self.cycle.response_complete
        if not is_owed or self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._stop_clock()
        elif self._clock is None:
            self._clock = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._clock:
            self._clock.cancel()
            self._clock = None

    def _stop_unread(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None


class WebSocketConnection(WebSocketsSansIOProtocol):
    """After the upgrade."""

    on_lost: Callable[[], None] = staticmethod(lambda: None)

    def handle_connect(self, event: Request) -> None:
        """Refuse what is no handshake, in other words than the library, which quotes it."""
        if ServerProtocol().accept(event).status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            super().handle_connect(event)
            return
        response = self.conn.reject(HTTPStatus.BAD_REQUEST, "no WebSocket handshake")
        response.headers.update((name.decode(), value.decode()) for name, value in SECURITY)
        self.handshake_complete = self.close_sent = True
        self.conn.send_response(response)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport."""
        super().connection_lost(exc)
        self.on_lost()


def uvicorn_config(app: Any, *, max_head_bytes: int, max_websocket_bytes: int, ping_seconds: float) -> Config:
    """What uvicorn's protocols go by; its server is not used."""
    config = Config(
        app,
        http=HttpConnection,
        ws=WebSocketConnection,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        h11_max_incomplete_event_size=max_head_bytes,
        ws_max_size=max_websocket_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=ping_seconds,
    )
    config.load()
    return config
