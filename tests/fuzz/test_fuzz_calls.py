"""Any message to every call of a whole daemon: a refusal or an answer, never an internal error, and no growth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.server.caller import NEEDED
from edged.v1.assistant_pb2 import AskResponse
from tests.e2e.program import DaemonProcess, Home, short_folder
from tests.fuzz.messages import TEXTS, messages
from tests.tiny_artefact import tiny_artefact

METHODS = [method for method in NEEDED if method.startswith("/edged.v1.")]
BUGS = ("INTERNAL", "UNKNOWN", "DATA_LOSS")
ENDLESS_SECONDS = 0.15
"""What a call that only ends with its caller gets."""
GROWTH_BYTES = 100 * 2**20


@dataclass
class Served:
    daemon: DaemonProcess
    channel: grpc.Channel
    conversation: str = ""

    def outcome(self, method: str, requests: list[bytes]) -> str:
        """The code that a call ends with."""
        call = self.channel.stream_stream(method)(iter(requests), timeout=ENDLESS_SECONDS)
        try:
            for answer in call:
                with contextlib.suppress(DecodeError):
                    self.conversation = self.conversation or AskResponse.FromString(answer).started.conversation_id
        except grpc.RpcError as exc:
            return str(exc.code().name)
        return "OK"

    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    engines = tmp_path_factory.mktemp("engines")
    tiny_artefact(engines)
    with short_folder() as folder:
        home = Home(folder, engines)
        with home.daemon() as daemon, grpc.insecure_channel(home.address) as channel:
            yield Served(daemon, channel)
            assert daemon.process.poll() is None
            log = daemon.log.read_text()
            assert "Traceback" not in log and "internal error" not in log, log[-4000:]


def any_message_is_answered(served: Served, method: str, count: int) -> None:
    name = method.removeprefix("/").replace("/", ".")
    service, _, call = name.rpartition(".")
    descriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[call]
    texts = (*TEXTS, served.conversation) if served.conversation else TEXTS
    most = 3 if descriptor.client_streaming else 1

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(messages(descriptor.input_type, texts), min_size=1, max_size=most), st.binary(max_size=60))
    def call_it(requests: list[object], junk: bytes) -> None:
        for sent in ([request.SerializeToString() for request in requests], [junk]):  # type: ignore[attr-defined]
            assert served.outcome(method, sent) not in BUGS, served.daemon.log.read_text()[-4000:]

    call_it()


@pytest.mark.parametrize("method", METHODS)
def test_any_message_is_answered(served: Served, method: str) -> None:
    any_message_is_answered(served, method, 2)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_many_messages_are_answered_and_leave_nothing_behind(served: Served) -> None:
    for method in METHODS:
        any_message_is_answered(served, method, 20)
    before = served.resident_bytes()
    for method in METHODS:
        any_message_is_answered(served, method, 60)
    assert served.resident_bytes() - before < GROWTH_BYTES
