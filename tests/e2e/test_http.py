"""`edged serve --http` as a program meets it: found, asked by OpenAI's client, and only on this machine."""

from __future__ import annotations

import signal
import socket
import urllib.request

import pytest
from openai import OpenAI

from tests.e2e.program import Home


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_an_alias_of_no_engine_is_said_at_the_start(home: Home) -> None:
    done = home.run("serve", "--http", f"127.0.0.1:{free_port()}", EDGED_HTTP__ALIAS_ENGINE="tinny")
    assert done.returncode == 1
    assert "http.alias_engine: no engine 'tinny' is installed (did you mean" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("container", "hosts", "advice"),
    [
        ("false", "edged", "http.hosts is for containers"),
        ("true", "edged:8000", "http.hosts must be names without a port"),
    ],
)
def test_names_for_other_containers_are_said_right_at_the_start(
    home: Home, container: str, hosts: str, advice: str
) -> None:
    done = home.run(
        "serve", "--http", f"127.0.0.1:{free_port()}", EDGED_HTTP__CONTAINER=container, EDGED_HTTP__HOSTS=hosts
    )
    assert done.returncode == 1 and advice in done.stderr.splitlines()[-1]


def test_a_port_that_is_taken_is_said_in_one_line(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = home.run("serve", "--http", f"127.0.0.1:{port}")
    line = f"edged: port {port} on 127.0.0.1 is in use; end what uses it or set http.listen\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_two_signals_at_once_end_it_without_a_word_more(home: Home) -> None:
    with home.daemon("--http", f"127.0.0.1:{free_port()}") as daemon:
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.log.read_text().splitlines()[-1].endswith("ending: SIGTERM")


def test_a_program_asks_over_http(home: Home) -> None:
    address = f"127.0.0.1:{free_port()}"
    with home.daemon("--http", address) as daemon:
        assert f"Uvicorn running on http://{address}" in daemon.log.read_text()
        with OpenAI(base_url=f"http://{address}/v1", api_key="EMPTY", max_retries=0) as client:
            names = [model.id for model in client.models.list()]
            assert names[0] == "tiny"
            hello = [{"role": "user", "content": "Hello"}]
            answer = client.chat.completions.create(model="autoglm-phone-9b", messages=hello, max_tokens=4)  # type: ignore[arg-type]
            assert answer.usage and answer.usage.completion_tokens == 4
        page = urllib.request.urlopen(f"http://{address}/").read().decode()
        assert "swagger-ui-bundle.js" in page and "https://" not in page
        assert urllib.request.urlopen(f"http://{address}/docs/swagger-ui-bundle.js").status == 200
        assert f"http://{address} (HTTP)" in home.run("status").stdout
        assert "0 conversations" in home.run("status").stdout
        daemon.stop()


@pytest.mark.parametrize("address", ["0.0.0.0:8000", "192.168.1.2:8000", "example.org:8000", "8000"])
def test_it_is_for_this_machine_alone(home: Home, address: str) -> None:
    done = home.run("serve", "--http", address)
    assert done.returncode == 2 and "--http must" in done.stderr
