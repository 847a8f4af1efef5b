"""What programs do over HTTP in `edged privacy prove`."""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
from typing import TYPE_CHECKING, Any

from edged.cli.privacy_speech import QUESTION, spoken
from edged.config import Config
from edged.errors import EdgedError, MissingExtra, UnsupportedPart

if TYPE_CHECKING:
    from edged.client import Client

_SECONDS = 300.0
_JSON = "application/json"


async def complete(config: Config, client: Client) -> str:
    """A question."""
    return f"a program was answered over HTTP ({await _finish_reason(client, {})})"


async def offer_a_tool(config: Config, client: Client) -> str:
    """A question that a tool may answer."""
    place = {"type": "object", "properties": {"place": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "weather", "description": "Says it.", "parameters": place}}
    return f"a program that offers a tool was answered ({await _finish_reason(client, {'tools': [tool]})})"


async def embed(config: Config, client: Client) -> str:
    """A text as numbers."""
    answer = json.loads(await _posted(client, "embeddings", {"model": "", "input": QUESTION}))
    return f"a text became {len(answer['data'][0]['embedding'])} numbers"


async def transcribe(config: Config, client: Client) -> str:
    """A recording."""
    from edged.audio.pcm import from_bytes, to_wav

    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="question.wav"\r\n'
    head += "Content-Type: audio/wav\r\n\r\n"
    recording = to_wav(from_bytes(await spoken(config)))
    body = head.encode() + recording + f"\r\n--{boundary}--\r\n".encode()
    await _sent(client, "audio/transcriptions", body, f"multipart/form-data; boundary={boundary}")
    return "a recording was written down for a program"


async def say_aloud(config: Config, client: Client) -> str:
    """A text."""
    sound = await _posted(client, "audio/speech", {"input": QUESTION, "response_format": "wav"})
    return f"a text was said for a program, in {len(sound)} bytes"


async def _finish_reason(client: Client, more: dict[str, Any]) -> str:
    model = (await client.list_models())[0].name
    asked = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 16, **more}
    answer = json.loads(await _posted(client, "chat/completions", asked))
    return str(answer["choices"][0]["finish_reason"])


async def _posted(client: Client, path: str, asked: dict[str, Any]) -> bytes:
    return await _sent(client, path, json.dumps(asked).encode(), _JSON)


async def _sent(client: Client, path: str, body: bytes, content_type: str) -> bytes:
    """Raises MissingExtra where the API is not served, UnsupportedPart for what the engine or its extras cannot do."""
    served = [place for place in (await client.status()).listening_on if place.endswith("(HTTP)")]
    if not served:
        raise MissingExtra("the HTTP API needs an extra: `make setup` or pip install 'edged[web]'")
    address = served[0].removeprefix("http://").partition(" ")[0]
    return await asyncio.to_thread(_answer, address, path, body, content_type)


def _answer(address: str, path: str, body: bytes, content_type: str) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=_SECONDS)
    try:
        connection.request("POST", f"/v1/{path}", body, {"Content-Type": content_type})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status == http.client.BAD_REQUEST:
        raise UnsupportedPart(json.loads(answer)["error"]["message"])
    if response.status != http.client.OK:
        raise EdgedError(f"the HTTP API answered with {response.status}")
    return answer
