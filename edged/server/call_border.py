"""What every call of edged's own services has in common, whatever carries it: admission, scopes, errors, one log line,
the drain, and the end of a device's calls when it is revoked."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from edged.errors import EdgedError, PermissionDenied, Unauthenticated, Unavailable, shortage, where_it_broke
from edged.records import Device, Scope
from edged.server.caller import NEEDED, Caller, answer_for
from edged.server.lifecycle import RETRY_SECONDS, Lifecycle

POLLED = ("/edged.v1.StatusService/", "/metrics")
"""Monitors and waiting clients call this all the time; their lines would bury the others."""
STORE_SECONDS = 10.0
"""What calls that were cut off get to store what they had; a disk that takes longer must not hold up the end."""

NOT_PAIRED = (
    "this device is not paired, or no longer: `edged pair` on the daemon's machine lets it in again, "
    "`edged devices key` a program"
)

_log = logging.getLogger("edged.server")
_Answer = TypeVar("_Answer")


class _Call(NamedTuple):
    method: str
    caller: Caller


class CallBorder:
    """One for all doors of a daemon."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._running: dict[asyncio.Task[object], _Call] = {}
        self._cut_off: dict[asyncio.Task[object], EdgedError] = {}
        self.on_end: Callable[[str, str, float], object] = lambda method, code, seconds: None
        """Told of each call that has ended."""

    async def answer(
        self, method: str, identify: Callable[[], Caller], work: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        """What `work` returns; for one call, in a task of its own.

        method: "/edged.v1.Service/Method". identify: raises Unauthenticated.
        Raises nothing but EdgedError, and CancelledError when the caller left or its deadline passed.
        """
        began = time.monotonic()
        outcome = "CANCELLED"
        try:
            result = await self._answer(method, identify, work)
            outcome = "OK"
            return result
        except EdgedError as exc:
            outcome = exc.code.grpc_status
            raise
        finally:
            seconds = time.monotonic() - began
            self.on_end(method, outcome, seconds)
            level = logging.DEBUG if method.startswith(POLLED) else logging.INFO
            _log.log(level, "%s %s %.0f ms", method, outcome, 1000 * seconds)

    async def finish(self, seconds: float) -> None:
        """Wait for running calls, then cut off the rest: their callers learn that the daemon is shutting down."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        left = set(self._running)
        for task in left:
            self._cut(task, Unavailable("the daemon is shutting down and broke this off", retry_seconds=RETRY_SECONDS))
        if left:
            _, stuck = await asyncio.wait(left, timeout=STORE_SECONDS)
            if stuck:
                _log.warning("%d calls did not end when they were cut off", len(stuck))

    def device_changed(self, device_id: str, now: Device | None) -> None:
        """Break off its calls that it no longer may make; None: it may make none at all."""
        for task, call in tuple(self._running.items()):
            if call.caller.device is None or call.caller.device.id != device_id:
                continue
            if now is None:
                self._cut(task, Unauthenticated(NOT_PAIRED))
                continue
            try:
                Caller(device=now).require(call.method)
                _require_sight(call, now)
            except EdgedError as exc:
                self._cut(task, exc)

    def _cut(self, task: asyncio.Task[object], why: EdgedError) -> None:
        self._cut_off[task] = why
        task.cancel()

    async def _answer(
        self, method: str, identify: Callable[[], Caller], work: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        task = asyncio.current_task()
        assert task is not None
        try:
            who = identify()
            who.require(method)
            self._lifecycle.admit(method)
            answer_for(who)
            self._running[task] = _Call(method, who)
            return await work()
        except EdgedError:
            raise
        except asyncio.CancelledError:
            if why := self._cut_off.get(task):
                task.uncancel()
                raise why from None
            if task.cancelling():
                raise
            raise Unavailable("this call was broken off") from None  # by itself: without a status callers wait
        except Exception as exc:  # the process border: whatever it is, the caller gets a code
            raise _internal(method, exc) from exc
        finally:
            self._running.pop(task, None)
            self._cut_off.pop(task, None)


def _require_sight(call: _Call, now: Device) -> None:
    """Raises PermissionDenied where the call sees conversations that the device does not see any more."""
    before, after = call.caller.reader, Caller(device=now).reader
    touches_conversations = NEEDED.get(call.method) in (Scope.CHAT, Scope.VOICE, Scope.HISTORY)
    if touches_conversations and (before.owner != after.owner or before.sees_all > after.sees_all):
        raise PermissionDenied("what this device may see was changed: begin again")


def _internal(method: str, exc: Exception) -> EdgedError:
    """An error that says what the machine has run out of, or nothing but where to look it up."""
    if short := shortage(exc):
        _log.error("%s: %s", method, short.message)
        return short
    number = secrets.token_hex(4)
    _log.error("internal error %s in %s\n%s", number, method, where_it_broke(exc))
    return EdgedError(f"internal error {number}; the daemon's log says where")
