"""The store for coroutines: every call runs on one thread of its own, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from edged.errors import NotFound, StoreError, shortage
from edged.events import FinishReason, MessageState, Part, Usage
from edged.records import AuditEvent, Conversation, EnrolledSpeaker, Reader, SearchHit, StoreStatus, Transcript
from edged.store.database import IN_MEMORY
from edged.store.devices import KnownDevice
from edged.store.key_places import KeySource
from edged.store.retention import KEEP_ALL, Retention
from edged.store.speakers import Voiceprint
from edged.store.store import ConversationStore, StoredTurn

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class AsyncStore:
    """`ConversationStore` with awaitable methods, same errors; satisfies `Memory` and `People` of the pipeline's ports.

    Cancelling a call never tears it: what was asked for is carried out, and only then is the caller cancelled.
    """

    def __init__(self, store: ConversationStore, executor: ThreadPoolExecutor) -> None:
        """Use `open`; the executor has one thread and ends with the store."""
        self._store = store
        self._executor = executor
        self._closed = False

    @classmethod
    async def open(cls, state_dir: Path, source: KeySource, retention: Retention = KEEP_ALL) -> AsyncStore:
        """Open the store on a new thread. Raises StoreError, InvalidInput for a bad new passphrase."""
        return await cls._opened(ConversationStore.open, state_dir, source, retention)

    @classmethod
    async def in_memory(cls, retention: Retention) -> AsyncStore:
        """A store of its own that ends with the process."""
        return await cls._opened(ConversationStore, IN_MEMORY, None, retention)

    @classmethod
    async def _opened(
        cls, function: Callable[Parameters, ConversationStore], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> AsyncStore:
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edged-store")
        opening = asyncio.wrap_future(executor.submit(function, *args, **kwargs))
        try:
            return cls(await _completed(opening), executor)
        except BaseException:
            if not opening.exception():
                opening.result().close()
            executor.shutdown(wait=False)
            raise

    async def open_turn(
        self, *, conversation_id: str, parts: tuple[Part, ...], system_prompt: str | None, model: str, reader: Reader
    ) -> StoredTurn:
        """Store the user's message and a pending answer; if cancelled meanwhile, the answer as CANCELLED."""
        opening = self._submit(
            self._store.open_turn,
            conversation_id=conversation_id,
            parts=parts,
            system_prompt=system_prompt,
            model=model,
            reader=reader,
        )
        try:
            return await _completed(opening)
        except asyncio.CancelledError:
            if not opening.exception():
                await self.close_turn(
                    opening.result().answer_message_id,
                    parts=(),
                    reasoning="",
                    state=MessageState.CANCELLED,
                    finish_reason=FinishReason.CANCELLED,
                    usage=None,
                )
            raise

    async def close_turn(
        self,
        answer_message_id: str,
        *,
        parts: tuple[Part, ...],
        reasoning: str,
        state: MessageState,
        finish_reason: FinishReason | None,
        usage: Usage | None,
    ) -> None:
        """Store what was answered and how it ended."""
        await self._run(
            self._store.close_turn,
            answer_message_id,
            parts=parts,
            reasoning=reasoning,
            state=state,
            finish_reason=finish_reason,
            usage=usage,
        )

    async def list(
        self, *, reader: Reader, page_size: int = 0, page_token: str = ""
    ) -> tuple[tuple[Conversation, ...], str]:
        """A page of conversations, last used first, and the token of the next page or ""."""
        return await self._run(self._store.list, reader=reader, page_size=page_size, page_token=page_token)

    async def get(self, conversation_id: str, *, reader: Reader) -> Transcript:
        """A conversation with all its messages."""
        return await self._run(self._store.get, conversation_id, reader=reader)

    async def search(
        self, query: str, *, reader: Reader, page_size: int = 0, page_token: str = ""
    ) -> tuple[tuple[SearchHit, ...], str]:
        """A page of messages that hold every word of the query, newest first, and the next page's token or ""."""
        return await self._run(self._store.search, query, reader=reader, page_size=page_size, page_token=page_token)

    async def rename(self, conversation_id: str, title: str, *, reader: Reader) -> Conversation:
        """Give a conversation a title of one line."""
        return await self._run(self._store.rename, conversation_id, title, reader=reader)

    async def delete(self, conversation_id: str, *, reader: Reader) -> None:
        """Remove a conversation; nothing of it remains in the files."""
        await self._run(self._store.delete, conversation_id, reader=reader)

    async def expire(self) -> int:
        """Remove conversations that are past their time; says how many."""
        return await self._run(self._store.expire)

    async def export(self, conversation_ids: Sequence[str] = (), *, reader: Reader) -> AsyncIterator[Transcript]:
        """The named conversations or all that the reader sees, oldest first, one in memory at a time."""
        for conversation_id in await self._run(self._store.ids, conversation_ids, reader=reader):
            with contextlib.suppress(NotFound):  # deleted since
                yield await self.get(conversation_id, reader=reader)

    async def free_name(self, name: str) -> str:
        """The name as it would be stored, if nobody has it."""
        return await self._run(self._store.free_name, name)

    async def add_speaker(self, name: str, voiceprint: Voiceprint) -> EnrolledSpeaker:
        """Remember a voice."""
        return await self._run(self._store.add_speaker, name, voiceprint)

    async def speakers(self) -> tuple[EnrolledSpeaker, ...]:
        """Everybody whose voice is known, by name."""
        return await self._run(self._store.speakers)

    async def voiceprints(self) -> dict[str, Voiceprint]:
        """What the voice of each of them is like."""
        return await self._run(self._store.voiceprints)

    async def delete_speaker(self, name: str) -> None:
        """Remove a person; nothing of the voice remains in the files."""
        await self._run(self._store.delete_speaker, name)

    async def add_device(self, known: KnownDevice) -> None:
        """Remember a device that was paired."""
        await self._run(self._store.add_device, known)

    async def devices(self) -> tuple[KnownDevice, ...]:
        """All that are paired."""
        return await self._run(self._store.devices)

    async def update_device(self, known: KnownDevice) -> None:
        """Change all of it but when it was seen."""
        await self._run(self._store.update_device, known)

    async def delete_device(self, device_id: str) -> None:
        """Forget a device; nothing of it remains but in the audit log."""
        await self._run(self._store.delete_device, device_id)

    async def mark_seen(self, seen: dict[str, datetime]) -> None:
        """When devices were last seen, by id."""
        await self._run(self._store.mark_seen, seen)

    async def append_audit(self, event: AuditEvent) -> None:
        """Write down what happened."""
        await self._run(self._store.append_audit, event)

    async def audit(self, *, page_size: int = 0, page_token: str = "") -> tuple[tuple[AuditEvent, ...], str]:
        """A page of what happened to devices, newest first, and the next page's token or ""."""
        return await self._run(self._store.audit, page_size=page_size, page_token=page_token)

    async def status(self) -> StoreStatus:
        """Where things lie, how many, and what protects them."""
        return await self._run(self._store.status)

    async def close(self) -> None:
        """Finish what was asked for, then close the file and end the thread. Can be called again."""
        if not self._closed:
            closing = self._submit(self._store.close)
            self._closed = True
            try:
                await _completed(closing)
            finally:
                self._executor.shutdown(wait=False)

    async def _run(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        return await _completed(self._submit(function, *args, **kwargs))

    def _submit(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> asyncio.Future[Result]:
        if self._closed:
            raise StoreError("the database is closed: edged is shutting down")
        try:
            return asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))
        except RuntimeError as exc:  # no thread can be started, or the pool has ended by itself
            raise shortage(exc) or StoreError("the thread of the database has ended: restart edged") from exc


async def _completed(future: asyncio.Future[Result]) -> Result:
    """Result of a call that runs to its end even if who waits for it is cancelled, who is told afterwards."""
    cancellation: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as exc:
            cancellation = exc
    if cancellation is None:
        return future.result()
    future.exception()  # looked at, so that asyncio does not report it as lost
    raise cancellation
