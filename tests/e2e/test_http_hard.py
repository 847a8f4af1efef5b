"""`edged serve --http` under hostile and careless programs: afterwards memory and descriptors are back."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from edged.server.web.http_server import MAX_CONNECTIONS
from tests.e2e.program import DaemonProcess, Home, short_folder
from tests.e2e.test_http import free_port

MEGABYTE = 1024 * 1024
ROOM_BYTES = 160 * MEGABYTE
"""By which the daemon may grow: what requests may hold at once (128 MB), which the allocator keeps, and a little."""
IDLE = 1000
LONG = 200
"""Tokens of an answer that takes its time."""
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Served:
    """A daemon whose engine takes ten milliseconds a token, seen from outside."""

    def __init__(self, home: Home, process: DaemonProcess, port: int) -> None:
        self.home, self.port = home, port
        self._proc = Path(f"/proc/{process.process.pid}")

    @property
    def resident_bytes(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+) kB", (self._proc / "status").read_text())
        assert found
        return 1024 * int(found[1])

    @property
    def descriptors(self) -> int:
        return len(list((self._proc / "fd").iterdir()))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def chat(self, *, tokens: int = 4, stream: bool = False) -> bytes:
        """A request that is well."""
        message = {"role": "user", "content": "Hello"}
        body = json.dumps({"messages": [message], "max_tokens": tokens, "stream": stream, "temperature": 0}).encode()
        return f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def status_of(self, request: bytes) -> int:
        """Of the answer to what is sent; 0 where the connection is cut off without one."""
        with self.connect() as client, suppress(OSError):
            client.sendall(request)
            first = client.recv(64)
            return int(first.split()[1]) if first else 0
        return 0

    def metric(self, name: str) -> float:
        with self.connect() as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """It answers again afterwards, with as much memory and as many descriptors as before."""
        assert self.status_of(self.chat()) == 200
        before, memory = self.descriptors, self.resident_bytes
        yield
        until(lambda: self.descriptors <= before + 2)
        until(lambda: self.status_of(self.chat()) == 200)  # who left is still waited for until the engine's next step
        assert self.resident_bytes < memory + ROOM_BYTES


def until(condition: object) -> None:
    for _ in range(600):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to be so")


@pytest.fixture(scope="module")
def served(engines: Path) -> Iterator[Served]:
    with short_folder() as folder:
        home, port = Home(folder, engines, "slow"), free_port()
        with home.daemon("--http", f"127.0.0.1:{port}") as process:
            yield Served(home, process, port)
            assert "internal error" not in process.log.read_text()


def first_words(client: socket.socket) -> str:
    """The status that a client has been told by now: "" for none yet, "cut off" where there will be none."""
    try:
        said = client.recv(4096, socket.MSG_PEEK)
    except BlockingIOError:
        return ""
    except OSError:
        return "cut off"
    return said.split()[1].decode() if said else "cut off"


def ask(stack: ExitStack, served: Served, count: int) -> list[socket.socket]:
    """Streams that are asked for, and never read."""
    request, clients = served.chat(tokens=LONG, stream=True), []
    for _ in range(count):
        clients.append(stack.enter_context(served.connect()))
        with suppress(OSError):
            clients[-1].sendall(request)
        clients[-1].setblocking(False)
    return clients


def test_a_thousand_that_ask_and_never_read(served: Served) -> None:
    """As many as there is room for are served or wait, the others are told to come again, and those beyond the
    connections that the daemon holds are cut off; the operator's commands do not notice."""
    limits = served.home.config.engine
    with served.unharmed(), ExitStack() as stack:
        clients = ask(stack, served, IDLE)
        until(lambda: Counter(map(first_words, clients))[""] <= limits.max_queued)
        told = Counter(map(first_words, clients))
        assert told.keys() <= {"200", "429", "cut off", ""}
        assert told["200"] + told[""] >= limits.max_active
        assert told["429"] > MAX_CONNECTIONS / 2
        assert told["200"] + told["429"] + told[""] <= MAX_CONNECTIONS
        assert all(b"retry-after: " in one.recv(4096) for one in clients if first_words(one) == "429")
        assert served.descriptors < MAX_CONNECTIONS + 150
        assert served.home.run("status").returncode == 0


def test_as_many_streams_as_are_allowed_are_held(engines: Path) -> None:
    """In bounded memory; one more is told to come again, and when all leave, all is as it was."""
    many = {"EDGED_ENGINE__MAX_ACTIVE": "8", "EDGED_ENGINE__MAX_QUEUED": "200"}
    with short_folder() as folder:
        home, port = Home(folder, engines, "slow", many), free_port()
        with home.daemon("--http", f"127.0.0.1:{port}") as process:
            served = Served(home, process, port)
            with served.unharmed():
                before = served.resident_bytes
                with ExitStack() as stack:
                    clients = ask(stack, served, 208)
                    until(lambda: Counter(map(first_words, clients))["200"] >= 8)
                    assert Counter(map(first_words, clients)).keys() <= {"200", ""}
                    assert served.status_of(served.chat()) == 429
                    assert served.resident_bytes < before + ROOM_BYTES / 2
                until(lambda: served.metric("edged_active_requests") == 0)


def test_who_leaves_in_the_middle_is_computed_for_no_longer(served: Served) -> None:
    began = time.monotonic()
    assert served.status_of(served.chat(tokens=LONG)) == 200
    whole = time.monotonic() - began
    with served.unharmed():
        with served.connect() as client:
            client.sendall(served.chat(tokens=LONG, stream=True))
            seen = b""
            while seen.count(b'"content"') < 6:
                seen += client.recv(4096)
            assert served.metric("edged_active_requests") == 1
        left = time.monotonic()
        until(lambda: served.metric("edged_active_requests") == 0)
        assert time.monotonic() - left < whole / 4


@pytest.mark.parametrize("form", ["declared", "chunked"])
def test_200_megabytes_are_refused_unread(served: Served, form: str) -> None:
    with served.unharmed(), served.connect() as client:
        sent, piece = 0, bytes(MEGABYTE)
        lines = "Content-Length: 200000000\r\n\r\n" if form == "declared" else "Transfer-Encoding: chunked\r\n\r\n"
        client.sendall((HEAD + lines).encode())
        with suppress(OSError):
            while sent < 200 * MEGABYTE:
                client.sendall(b"100000\r\n" + piece + b"\r\n" if form == "chunked" else piece)
                sent += MEGABYTE
        assert sent < 100 * MEGABYTE
        with suppress(OSError):
            assert client.recv(64).split()[1] == b"413"


def test_many_large_requests_at_once_are_not_all_held(served: Served) -> None:
    with served.unharmed():
        for _ in range(2):  # what is refused is let go, whenever Python's collector would have come to it
            with ExitStack() as stack:
                for _ in range(6):
                    client = stack.enter_context(served.connect())
                    with suppress(OSError):
                        lines = f"Content-Length: {30 * MEGABYTE}\r\n\r\n"
                        client.sendall((HEAD + lines).encode() + bytes(29 * MEGABYTE))


async def test_many_at_once_are_answered_or_told_to_come_again(served: Served) -> None:
    statuses = await asyncio.gather(*(asyncio.to_thread(served.status_of, served.chat(tokens=2)) for _ in range(64)))
    assert set(statuses) <= {200, 429} and 200 in statuses
