"""The device thread: the one place where models are loaded and computed."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edged.engine.answer import Step
from edged.engine.engine import Engine
from edged.engine.generate import generate
from edged.engine.kv_cache import BrokenSession
from edged.engine.scheduler import RoundRobin
from edged.engine.stream import EventStream
from edged.errors import EdgedError, QueueFull, Unavailable, shortage, where_it_broke
from edged.events import Finished, GenerationRequest

log = logging.getLogger(__name__)

IDLE_BEAT_SECONDS = 1.0
_LOOK_SECONDS = 0.05
"""Between two looks whether a thread that shall end has begun to load."""
MAX_FAILURES = 3
"""Answers in a row that break: a GPU that was lost is not found again by the process that lost it."""
LoadedEngine = Engine[Any]
"""Whatever session it has, its memories stay with it."""


@dataclass(eq=False, slots=True, kw_only=True)
class Job:
    """One request on its way through the device thread."""

    request: GenerationRequest
    engine: str
    """Full name of the engine that answers."""
    stream: EventStream
    arrived: float = field(default_factory=time.perf_counter)
    cancelled: threading.Event = field(default_factory=threading.Event)
    steps: Iterator[Step] | None = None
    """None until it is admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What other threads may know of the device, replaced whole whenever it changes."""

    loaded: tuple[LoadedEngine, ...] = ()
    """Least recently used first."""
    active: int = 0
    waiting: int = 0
    conversations: int = 0
    kv_cache_bytes: int = 0


class DeviceThread:
    """Runs jobs a step each in turn, and loads what they need.

    Errors of one job end that job alone. Anything else that goes wrong ends the thread, and so do bugs in
    MAX_FAILURES jobs in a row: `failure` says so, all jobs fail, and later ones are refused.
    """

    def __init__(
        self, load: Callable[[str], LoadedEngine], *, max_active: int, max_queued: int, max_loaded: int
    ) -> None:
        self._load = load
        self._max_jobs = max_active + max_queued
        self._max_loaded = max_loaded
        self._inbox: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._jobs = RoundRobin[Job](max_active)
        self._engines: dict[str, LoadedEngine] = {}
        self._lock = threading.Lock()
        self._open_jobs: set[Job] = set()
        self._stopping = False
        self._answer_seconds = 5.0
        self._thread = threading.Thread(target=self._run, name="edged-engine", daemon=True)
        self.failure = ""
        """Why the thread ended, if it did so by itself."""
        self.broken: Future[str] = Future()
        """Holds `failure` once there is one."""
        self._failures = 0
        self._last_step = time.monotonic()
        self._is_loading = False
        self.snapshot = Snapshot()

    @property
    def last_beat(self) -> float:
        """When the thread was last seen alive (time.monotonic); loading counts, since it may take a slow disk long."""
        return time.monotonic() if self._is_loading else self._last_step

    @property
    def is_running(self) -> bool:
        """Whether the thread has not ended; after `stop` because it was loading."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def load(self, name: str) -> Future[LoadedEngine]:
        """Have an engine loaded; the future also carries the error."""
        future: Future[LoadedEngine] = Future()
        self._inbox.put(partial(self._load_into, future, name))
        return future

    def submit(self, job: Job) -> None:
        """Queue a job. Raises QueueFull, Unavailable."""
        with self._lock:
            self.require_room()
            self._open_jobs.add(job)
        self._inbox.put(partial(self._jobs.submit, job))

    def require_room(self) -> None:
        """Raises QueueFull, Unavailable if no job would be taken now."""
        if self.failure or self._stopping or not self._thread.is_alive():
            raise Unavailable(self.failure or "the engine is not running")
        if len(self._open_jobs) >= self._max_jobs:
            raise QueueFull(
                f"{self._max_jobs} requests are being answered or waiting; try again later",
                retry_seconds=self._answer_seconds,
            )

    def stop(self) -> None:
        """End the thread after its current step; open jobs fail with Unavailable.

        Blocks until it ended, unless it is loading, which may take minutes and cannot be interrupted: then the
        process has to end without it (`is_running`).
        """
        with self._lock:
            self._stopping = True
        self._inbox.put(lambda: None)
        while self._thread.is_alive() and not self._is_loading:
            self._thread.join(_LOOK_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as exc:  # noqa: BLE001  # the border of the thread: nobody else would see it
            log.error("the device thread broke\n%s", where_it_broke(exc))
            self.failure = f"the engine has stopped ({type(exc.__cause__ or exc).__name__}); restart edged"
            self.broken.set_result(self.failure)
        with self._lock:
            self._stopping = True
            left = list(self._open_jobs)
        for job in left:
            self._end(job, Unavailable(self.failure or "the daemon is shutting down"))
        self._engines.clear()
        self._publish()

    def _turn(self) -> None:
        """Take what came in, admit, and advance one job by one step."""
        self._last_step = time.monotonic()
        self._receive(wait=not self._jobs.active and not self._jobs.waiting)
        for job in self._jobs.waiting:
            if job.cancelled.is_set():
                self._end(job)
        while admitted := self._jobs.admit(self._can_start):
            self._begin(admitted)
            self._publish()
        if current := self._jobs.next_turn():
            self._advance(current)

    def _receive(self, *, wait: bool) -> None:
        if not wait and self._inbox.empty():
            return  # nearly always, once a token: raising queue.Empty would take 2 % of a small model's time
        try:
            self._inbox.get(block=wait, timeout=IDLE_BEAT_SECONDS)()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            self._publish()

    def _begin(self, job: Job) -> None:
        try:
            engine = self._engine(job.engine)
        except Exception as exc:  # noqa: BLE001  # the border of one request, see _reported
            self._end(job, _reported(exc))
            return
        job.steps = generate(engine, job.request, arrived=job.arrived, cancelled=partial(self._is_cancelled, job))

    def _is_cancelled(self, job: Job) -> bool:
        """Whoever asks is alive: a picture may take a small CPU minutes, in which only this is heard of it."""
        self._last_step = time.monotonic()
        return job.cancelled.is_set()

    def _advance(self, job: Job) -> None:
        assert job.steps is not None
        try:
            step = next(job.steps)
            if step and isinstance(step[-1], Finished):
                self._end(job)
                self._failures = 0
            job.stream.put(step)
        except Exception as exc:  # the border of one request, see _reported
            error = _reported(exc)
            self._end(job, error)
            self._failures += isinstance(exc, BrokenSession)
            if self._failures >= MAX_FAILURES:
                raise

    def _end(self, job: Job, error: EdgedError | None = None) -> None:
        self._jobs.remove(job)
        with self._lock:
            self._open_jobs.discard(job)
        job.steps = None
        self._answer_seconds = min(60.0, max(1.0, time.perf_counter() - job.arrived))
        self._publish()
        if error is not None:
            job.stream.fail(error)

    def _can_start(self, job: Job) -> bool:
        return job.engine in self._engines or len(self._engines) < self._max_loaded or self._unused() is not None

    def _unused(self) -> str | None:
        """The least recently used engine that no active job needs."""
        needed = {job.engine for job in self._jobs.active if job.steps is not None}
        return next((name for name in self._engines if name not in needed), None)

    def _engine(self, name: str) -> LoadedEngine:
        """The engine, loaded if need be, now the most recently used one."""
        engine = self._engines.pop(name, None)
        if engine is None:
            unused = self._unused()
            if len(self._engines) >= self._max_loaded and unused is not None:
                del self._engines[unused]
                self._publish()
            self._is_loading = True
            try:
                engine = self._load(name)
            finally:
                self._is_loading = False
                self._last_step = time.monotonic()
            log.info("loaded %s in %.2f s", name, engine.load_seconds)
        self._engines[name] = engine
        return engine

    def _load_into(self, future: Future[LoadedEngine], name: str) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            engine = self._engine(name)
            self._publish()  # before anybody who waited looks for it
            future.set_result(engine)
        except Exception as exc:  # noqa: BLE001  # the waiter deals with it
            future.set_exception(exc)
        except BaseException as exc:
            future.set_exception(exc)
            raise

    def _publish(self) -> None:
        engines = tuple(self._engines.values())
        self.snapshot = Snapshot(
            loaded=engines,
            active=len(self._jobs.active),
            waiting=len(self._jobs.waiting),
            conversations=sum(engine.cache.conversations for engine in engines),
            kv_cache_bytes=sum(engine.cache.used_bytes for engine in engines),
        )


def _reported(error: Exception) -> EdgedError:
    """What a client is told. Whatever breaks in one request must not end the others, but is a bug: log it."""
    if isinstance(error, EdgedError):
        return error
    if short := shortage(error.__cause__ or error):
        log.error("an answer failed: %s", short.message)
        return short
    log.error("an answer failed\n%s", where_it_broke(error))
    return EdgedError("the engine failed while answering; the log says more")
