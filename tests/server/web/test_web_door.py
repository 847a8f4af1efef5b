"""The port itself: TLS 1.3, bounds on connections and on what they may leave undone, its beginning and its end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from edged.errors import AlreadyRunning, ConfigError
from edged.server.web import connection, http_server
from edged.server.web.http_server import MAX_CONNECTIONS
from edged.server.web.server import MAX_CONNECTIONS_PER_ADDRESS, WebServer
from edged.trust.authority import Authority
from tests.server.scripted import until
from tests.server.web.web_daemon import WebDaemon, certificate_der

HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"


async def openssl(web: WebDaemon, *options: str) -> str:
    """What `openssl s_client` says about the port."""
    program = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{web.port}", "-CAfile", str(web.ca_file), *options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(20):
        output, _ = await program.communicate()
    return output.decode()


async def test_openssl_takes_tls_1_3_and_the_certificate(web: WebDaemon) -> None:
    said = await openssl(web, "-verify_return_error", "-verify_ip", "127.0.0.1", "-alpn", "h2,http/1.1")
    assert "TLSv1.3" in said and "Verification: OK" in said and "ALPN protocol: http/1.1" in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_1"])
async def test_openssl_is_refused_with_older_versions(web: WebDaemon, version: str) -> None:
    said = await openssl(web, version, "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said and "BEGIN CERTIFICATE" not in said


async def test_python_is_refused_with_tls_1_2(web: WebDaemon) -> None:
    context = web.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await web.connect(context)


async def test_plaintext_is_refused(web: WebDaemon) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(HEAD + b"\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.transport.abort()
    assert b"HTTP" not in answer and len(answer) < 20


async def test_stranger_without_tls_is_dropped(web: WebDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HANDSHAKE_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.transport.abort()


@pytest.mark.parametrize("start", [b"", b"GET / HT", HEAD, HEAD + b"X: ", b"\r\n"])
async def test_request_that_does_not_come_is_dropped(
    web: WebDaemon, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.4)
    reader, writer = await web.connect()

    async def drip() -> None:
        while True:
            writer.write(start[:1] and b"x")
            await asyncio.sleep(0.05)

    writer.write(start)
    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(10):
        answer = await asyncio.gather(reader.read(), return_exceptions=True)
    dripping.cancel()
    writer.transport.abort()
    assert isinstance(answer[0], ConnectionError) or not answer[0] or answer[0].startswith(b"HTTP/1.1 400 ")
    await until(lambda: not web.web._connections)


async def test_connection_that_sends_on_after_its_answer_is_dropped(
    web: WebDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.4)
    reader, writer = await web.connect()
    writer.write(b"POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
    assert b" 404 " in await reader.readline()
    async with asyncio.timeout(10):
        while web.web._connections:
            writer.write(b"x")
            await asyncio.sleep(0.05)
    writer.transport.abort()


async def test_connection_serves_many_requests(web: WebDaemon) -> None:
    reader, writer = await web.connect()
    writer.write(b"GET /icon.png HTTP/1.1\r\nHost: h\r\n\r\n" * 5 + HEAD + b"\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.transport.abort()
    assert answer.count(b"HTTP/1.1 200 OK") == 6 and answer.count(b"\x89PNG") == 5


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/one\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 600_000 + b"\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_is_no_http(web: WebDaemon, request_bytes: bytes, caplog: pytest.LogCaptureFixture) -> None:
    answer = await web.send(request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.endswith(b"no HTTP request")
    assert b"default-src 'none'" in answer and b"server:" not in answer
    assert not caplog.records


async def test_garbage_behind_a_request_ends_the_connection(web: WebDaemon, caplog: pytest.LogCaptureFixture) -> None:
    web.model.script = ["wait"]
    reader, writer = await web.connect()
    writer.write(
        b"POST /edged.v1.ModelService/ListModels HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    async with asyncio.timeout(10):
        await asyncio.gather(reader.read(), return_exceptions=True)
    writer.transport.abort()
    await until(lambda: not web.web._connections)
    assert "Error" not in caplog.text and "zz" not in caplog.text


async def test_300_idle_connections_do_not_keep_others_out(web: WebDaemon) -> None:
    idle = [await connected(web) for _ in range(300)]
    await until(lambda: len(web.web._connections) == MAX_CONNECTIONS_PER_ADDRESS)
    reader, writer = await web.connect(source="127.0.0.2")
    writer.write(HEAD + b"\r\n")
    async with asyncio.timeout(10):
        assert b"200 OK" in await reader.readline()
    writer.transport.abort()
    for each in idle:
        each.close()
    await until(lambda: not web.web._connections)
    assert not web.web._from


async def test_connections_from_everywhere_are_bounded(web: WebDaemon) -> None:
    idle = [await connected(web, f"127.0.1.{number % 10 + 1}") for number in range(MAX_CONNECTIONS + 20)]
    await until(lambda: len(web.web._connections) == MAX_CONNECTIONS)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await web.connect(source="127.0.0.9")
    for each in idle:
        each.close()
    await until(lambda: not web.web._connections)


async def test_another_certificate_for_new_connections(web: WebDaemon, tmp_path: Path) -> None:
    _, old = await web.connect()
    other = Authority.open(tmp_path / "other", "other").server_identity(())
    web.web.reload(other)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, new = await web.connect(context)
    shown = new.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert shown == certificate_der(other.certificate_pem)
    new.transport.abort()
    old.write(HEAD + b"\r\n")
    old.transport.abort()


async def test_port_in_use(web: WebDaemon) -> None:
    with pytest.raises(AlreadyRunning, match=r"lan\.web_port"):
        unbound(web).listen("127.0.0.1", web.port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-address.invalid."])
async def test_wrong_address(web: WebDaemon, host: str) -> None:
    with pytest.raises(ConfigError, match=r"lan\.web_port"):
        unbound(web).listen(host, 0)


async def test_all_addresses_of_both_versions(web: WebDaemon) -> None:
    other = unbound(web)
    host, _, port = other.listen("", 0).rpartition(":")
    async with asyncio.TaskGroup() as group:
        group.create_task(other.run())
        for address in ("127.0.0.1", "::1") if host == "[::]" else ("127.0.0.1",):
            _, writer = await asyncio.open_connection(address, int(port), ssl=web.trust())
            writer.transport.abort()
        await other.close(1)


async def test_close_before_run_frees_the_port(web: WebDaemon) -> None:
    other = unbound(web)
    address = other.listen("127.0.0.1", 0)
    await other.close(0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))


async def test_close_lets_idle_connections_go_at_once(web: WebDaemon) -> None:
    reader, writer = await web.connect()
    began = time.monotonic()
    closing = asyncio.create_task(web.web.close(30))
    async with asyncio.timeout(10):
        assert await reader.read() == b""
        writer.transport.abort()
        await closing
    assert time.monotonic() - began < 10


async def test_cancelled_server_cuts_connections_off(web: WebDaemon) -> None:
    other = unbound(web)
    port = int(other.listen("127.0.0.1", 0).rpartition(":")[2])
    running = asyncio.create_task(other.run())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=web.trust())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with asyncio.timeout(10):
        await asyncio.gather(reader.read(), return_exceptions=True)
    writer.transport.abort()


async def connected(web: WebDaemon, source: str = "127.0.0.1") -> socket.socket:
    """A connection on which nothing is said, not even TLS."""
    client = socket.socket()
    client.setblocking(False)
    client.bind((source, 0))
    async with asyncio.timeout(10):
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", web.port))
    return client


def unbound(web: WebDaemon) -> WebServer:
    return WebServer(
        servicers=web.servicers,
        border=web.border,
        registry=web.devices,
        identity=web.authority.server_identity(()),
        ca_certificate=web.authority.certificate,
        max_message_bytes=1000,
        phone=web.phone,
    )
