"""The client by itself: what it loads, where it connects, and what it says when nobody is there."""

from __future__ import annotations

import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest

from edged.client import Client
from edged.client.address import channel_target
from edged.errors import InvalidInput, Unavailable
from edged.events import OutputFormat, OutputKind, Text, Tool, ToolUse
from tests.server.conftest import Daemon

HEAVY = ("numpy", "onnxruntime", "sqlite3", "sqlcipher3", "tokenizers", "jinja2")


def test_importing_the_client_loads_nothing_of_the_daemon() -> None:
    program = f"import sys, edged.client; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("unix:/run/edged/s", "unix:/run/edged/s"),
        ("unix:a b%", "unix:a%20b%25"),
        ("127.0.0.1:50051", "ipv4:127.0.0.1:50051"),
        ("localhost:50051", "ipv4:127.0.0.1:50051"),
        ("[::1]:50051", "ipv6:[::1]:50051"),
    ],
)
def test_addresses(address: str, target: str) -> None:
    assert channel_target(address) == target


@pytest.mark.parametrize(
    "address", ["", "edged", "example.org:50051", "192.168.0.9:50051", "127.0.0.1", "127.0.0.1:", "dns:localhost:1"]
)
def test_addresses_elsewhere_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Client(address)
    assert raised.value.field == "address"


async def test_nobody_there(run_dir: Path) -> None:
    async with Client(f"unix:{run_dir}/s") as client:
        with pytest.raises(Unavailable, match="edged serve"):
            await client.status()
        with pytest.raises(Unavailable, match="edged serve"):
            async with aclosing(client.ask([Text(text="Hello")])) as turn:
                await anext(turn)
        with pytest.raises(Unavailable, match=r"no daemon answers.*after 0\.2 s"):
            await client.wait_until_serving(0.2)


async def test_a_daemon_that_goes_before_it_looks_at_a_call(run_dir: Path) -> None:
    """grpc cancels such calls without saying why."""

    async def get_status(request: bytes, context: grpc.aio.ServicerContext) -> None:
        await context.abort(grpc.StatusCode.CANCELLED)

    server = grpc.aio.server()
    handlers = {"GetStatus": grpc.unary_unary_rpc_method_handler(get_status)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("edged.v1.StatusService", handlers)])
    server.add_insecure_port(f"unix:{run_dir}/s")
    await server.start()
    async with Client(f"unix:{run_dir}/s") as client:
        with pytest.raises(Unavailable, match="went away"):
            await client.status()
    await server.stop(0)


async def test_a_proxy_in_the_environment_is_ignored(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    daemon = Daemon(run_dir / "s")
    _, tcp = await daemon.server.start(daemon.socket, ("127.0.0.1", 0))
    for address in (daemon.address, tcp):
        async with Client(address) as client:
            assert (await client.get_model()).name == "tiny"
    await daemon.server.drain(0)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"tool_use": ToolUse(tools=(Tool(name="go"), Tool(name="stay", parameters={})))}, "tools[1].parameters"),  # type: ignore[arg-type]
        ({"output": OutputFormat(kind=OutputKind.JSON_SCHEMA, text={})}, "output.json_schema"),  # type: ignore[arg-type]
    ],
)
async def test_a_schema_that_is_no_text_is_named(run_dir: Path, form: dict[str, Any], field: str) -> None:
    async with Client(f"unix:{run_dir}/s") as client:
        with pytest.raises(InvalidInput, match=r"as text: json\.dumps\(schema\) makes it") as raised:
            async with aclosing(client.ask([Text(text="Hello")], **form)) as turn:
                await anext(turn)
    assert raised.value.field == field and raised.value.message.startswith(field)
