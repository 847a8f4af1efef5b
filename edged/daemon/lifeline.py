"""The daemon's end of the socket pair that ties it to the program which started it for its own use.

One line of JSON goes up, {"ready": ADDRESS} or {"error": ..., "code": ..., "reason": ...}; after that the
pair carries nothing, and end-of-file means that the starter is gone, however it went. `edged.launch`
holds the other end.
"""

from __future__ import annotations

import asyncio
import json
import socket

from edged.errors import EdgedError


class Lifeline:
    """Wraps the inherited descriptor; None makes one that reports to nobody and never ends."""

    def __init__(self, descriptor: int | None) -> None:
        self._socket = socket.socket(fileno=descriptor) if descriptor is not None else None
        if self._socket:
            self._socket.set_inheritable(False)

    @property
    def held(self) -> bool:
        """Whether somebody started this daemon for their own use."""
        return self._socket is not None

    def ready(self, address: str) -> None:
        """The daemon serves at this address."""
        self._report({"ready": address})

    def failed(self, error: EdgedError) -> None:
        """The daemon ends; the starter shows the same message that `edged serve` would."""
        self._report({"error": error.message, "code": error.code.name, "reason": error.reason})

    async def gone(self) -> None:
        """Return when the starter has let go."""
        if self._socket is None:
            await asyncio.Event().wait()
            return
        self._socket.setblocking(False)
        try:
            while await asyncio.get_running_loop().sock_recv(self._socket, 64):
                pass
        except ConnectionResetError:
            pass

    def close(self) -> None:
        """Let the starter see that this daemon is done."""
        if self._socket:
            self._socket.close()

    def _report(self, message: dict[str, str]) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # The starter went first; gone() tells.
