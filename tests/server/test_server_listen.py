"""Who can reach the daemon, and what happens when somebody else is there already."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from edged.client import Client
from edged.errors import AlreadyRunning, ConfigError
from tests.server.conftest import Daemon


async def is_reached(address: str) -> bool:
    async with Client(address) as client:
        return (await client.get_model()).name == "tiny"


async def started(path: Path, tcp: tuple[str, int] | None = None) -> tuple[Daemon, tuple[str, ...]]:
    daemon = Daemon(path)
    return daemon, await daemon.server.start(path, tcp)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_socket_and_its_directory_are_the_users_own(run_dir: Path) -> None:
    before = os.umask(0o022)
    try:
        daemon, addresses = await started(run_dir / "deep" / "er" / "s")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert addresses == (daemon.address,)
    assert (mode(daemon.socket), mode(daemon.socket.parent)) == (0o600, 0o700)
    await daemon.server.drain(0)


@pytest.mark.parametrize("name", ["a b", "a%41#?é", "x:y;z"])
async def test_any_path_that_is_short_enough_works(run_dir: Path, name: str) -> None:
    daemon, (address,) = await started(run_dir / name)
    assert daemon.socket.is_socket()
    assert await is_reached(address)
    await daemon.server.drain(0)
    assert not daemon.socket.exists()


async def test_a_path_that_no_client_can_name(run_dir: Path) -> None:
    with pytest.raises(ConfigError, match="comma"):
        await started(run_dir / "a,b")


async def test_a_relative_path(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_dir)
    daemon, (address,) = await started(Path("s"))
    assert await is_reached(address)
    await daemon.server.drain(0)


@pytest.mark.parametrize(("length", "fits"), [(107, True), (108, False)])
async def test_the_longest_path(run_dir: Path, length: int, fits: bool) -> None:
    path = run_dir / ("x" * (length - len(str(run_dir)) - 1))
    if fits:
        daemon, (address,) = await started(path)
        assert await is_reached(address)
        await daemon.server.drain(0)
    else:
        with pytest.raises(ConfigError, match="107 bytes"):
            await started(path)


async def test_a_socket_left_by_a_dead_daemon_is_replaced(run_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(run_dir / "s"))
    daemon, (address,) = await started(run_dir / "s")
    assert await is_reached(address)
    await daemon.server.drain(0)


async def test_a_socket_on_which_somebody_answers_is_left_alone(daemon: Daemon) -> None:
    with pytest.raises(AlreadyRunning, match="another daemon answers"):
        await started(daemon.socket)
    assert await is_reached(daemon.address)


async def test_a_file_in_the_way_is_left_alone(run_dir: Path) -> None:
    (run_dir / "s").write_text("mine")
    with pytest.raises(ConfigError, match="is no socket"):
        await started(run_dir / "s")
    assert (run_dir / "s").read_text() == "mine"


async def test_a_directory_in_which_others_write_is_refused(run_dir: Path) -> None:
    shared = run_dir / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(ConfigError, match="others can write"):
        await started(shared / "s")
    shared.chmod(0o1777)
    daemon, _ = await started(shared / "s")
    await daemon.server.drain(0)


async def test_a_directory_that_cannot_be_made(run_dir: Path) -> None:
    (run_dir / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use"):
        await started(run_dir / "file" / "s")


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("127.9.8.7", "127.9.8.7")])
async def test_tcp_on_loopback(run_dir: Path, host: str, shown: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, 0))
        except OSError as exc:
            pytest.skip(f"this machine has no {host}: {exc.strerror}")
    daemon, (_, address) = await started(run_dir / "s", (host, 0))
    assert address.startswith(f"{shown}:")
    assert await is_reached(address)
    await daemon.server.drain(0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "localhost", "example.org", ""])
async def test_tcp_nowhere_else(run_dir: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        await started(run_dir / "s", (host, 50051))
    assert not (run_dir / "s").exists()


async def test_a_port_in_use(run_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, (_, address) = await started(run_dir / "s", ("127.0.0.1", 0))
    port = int(address.rpartition(":")[2])
    with pytest.raises(AlreadyRunning, match=f"port {port} .* in use"):
        await started(run_dir / "t", ("127.0.0.1", port))
    assert capfd.readouterr().err == ""
    assert not (run_dir / "t").exists()
    await first.server.drain(0)
    second, (_, again) = await started(run_dir / "s", ("127.0.0.1", port))
    assert again == address
    assert await is_reached(again)
    await second.server.drain(0)


async def test_a_port_that_a_stranger_shares_is_in_use(run_dir: Path) -> None:
    """With SO_REUSEPORT both would be given every other caller."""
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with pytest.raises(AlreadyRunning):
            await started(run_dir / "s", stranger.getsockname())
