"""A daemon at its most talkative, used in every way: its log holds no key, token or code, and no word that was said."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from base64 import b64encode
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edged.client import Client
from edged.client.pairing import Comparing, Pairing, pair
from edged.errors import EdgedError
from edged.events import Text
from edged.records import PairingOffer
from tests.e2e.program import Home

SAID = "heliotrope9041"
WRONG_CODE, WRONG_TOKEN = "018375", "sk-wrong-4c1f9a77e2"
JSON = {"Content-Type": "application/json"}
QUESTION = {"model": "tiny", "messages": [{"role": "user", "content": SAID}], "max_tokens": 4}


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def post(port: int, path: str, body: str, token: str = "") -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {**JSON, **({"Authorization": f"Bearer {token}"} if token else {})}
    connection.request("POST", path, body, headers)
    connection.getresponse().read()
    connection.close()


def post_over_tls(port: int, trust: ssl.SSLContext, **headers: str) -> int:
    """The status of a question at the LAN's web port, where keys are worth something."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=trust)
    connection.request("POST", "/v1/chat/completions", json.dumps(QUESTION), {**JSON, **headers})
    status = connection.getresponse().status
    connection.close()
    return status


def secrets_in(folder: Path) -> list[str]:
    """Every long run of letters and digits in the files that hold keys."""
    files = [file for file in folder.rglob("*") if file.suffix in (".key", ".pem") and file.is_file()]
    assert files
    return [run for file in files for run in re.findall(r"[A-Za-z0-9+/=]{32,}", file.read_text())]


async def ask(client: Client, **options: str) -> None:
    async for _ in client.ask((Text(text=SAID),), sampling={"max_tokens": 4}, **options):  # type: ignore[arg-type]
        pass


async def paired(client: Client, web_port: int) -> tuple[PairingOffer, Pairing]:
    offer = await client.devices.open_pairing()
    with pytest.raises(EdgedError):
        async for _ in pair(f"127.0.0.1:{web_port}", code=WRONG_CODE, device_name="guess"):
            pass
    async for step in pair(f"127.0.0.1:{web_port}", code=offer.code, device_name="desk"):
        if isinstance(step, Comparing):
            await client.devices.confirm_pairing(offer.pairing_id, step.short_string)
    assert isinstance(step, Pairing)
    return offer, step


async def test_the_log_holds_no_secret_and_no_word(home: Home) -> None:
    http_port, grpc_port, web_port = free_ports(3)
    lan = {
        "EDGED_LAN__ENABLED": "true",
        "EDGED_LAN__HOST": "127.0.0.1",
        "EDGED_LAN__ANNOUNCE": "false",
        "EDGED_LAN__GRPC_PORT": str(grpc_port),
        "EDGED_LAN__WEB_PORT": str(web_port),
        "EDGED_HTTP__LAN": "true",
    }
    with home.daemon("--http", f"127.0.0.1:{http_port}", EDGED_LOGGING__LEVEL="debug", **lan) as daemon:
        async with Client(home.address) as client:
            await ask(client)
            await client.search(SAID)
            for mistake in ({"conversation_id": SAID}, {"model": SAID}):
                with pytest.raises(EdgedError):
                    await ask(client, **mistake)
            api_key = (await client.devices.create_api_key("program")).key
            offer, pairing = await paired(client, web_port)
            async with Client(pairing.grpc_address, pairing.credentials) as device:
                await ask(device)
                with pytest.raises(EdgedError):
                    await device.get_conversation(SAID)
        post(http_port, "/v1/chat/completions", json.dumps(QUESTION), api_key)
        post(http_port, "/v1/chat/completions", json.dumps(QUESTION)[:-1], WRONG_TOKEN)
        post(http_port, f"/v1/{SAID}?q={SAID}", json.dumps({**QUESTION, SAID: 1, "max_tokens": SAID}))
        trust = ssl.create_default_context(cadata=pairing.credentials.ca_certificate.decode())
        assert post_over_tls(web_port, trust, Authorization=f"Bearer {api_key}") == 200
        for headers in (
            {"Authorization": f"Bearer {api_key[:-1]}"},
            {"Authorization": f"Basic {api_key}"},
            {"Cookie": f"__Host-edged={api_key}"},
            {"X-Api-Key": api_key},
            {"Authorization": f"Bearer {WRONG_TOKEN}"},
        ):
            assert post_over_tls(web_port, trust, **headers) == 401
        with suppress(OSError), socket.create_connection(("127.0.0.1", web_port)) as plain:
            plain.sendall(f"GET /{SAID} HTTP/1.1\r\nCookie: {WRONG_TOKEN}\r\n\r\n".encode())
            plain.recv(64)
        daemon.stop()
    log = daemon.log.read_text()
    assert "DEBUG" in log
    device_key = pairing.credentials.key
    never = {
        *(SAID, WRONG_CODE, WRONG_TOKEN, api_key[:-1]),
        *(offer.code, offer.secret, offer.link),
        *re.findall(r"[A-Za-z0-9+/=]{32,}", device_key.decode()),
        *secrets_in(home.folder),
    }
    never |= {b64encode(bytes.fromhex(one)).decode() for one in never if re.fullmatch("[0-9a-f]{64}", one)}
    told = [line for line in log.splitlines() if any(one in line for one in never)]
    assert not told
