"""`python -m tests.bench.http_path`: what a token costs over HTTP, beside gRPC, from the same daemon in turn."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from openai import OpenAI

from edged.client import Client
from edged.config import load_config
from tests.bench import server_path
from tests.bench.conditions import commit, processor
from tests.bench.server_path import QUESTION
from tests.e2e.program import Home, short_folder

Way = Callable[[int], float]
"""Asks for so many tokens; milliseconds each."""


def over_http(port: int, max_tokens: int) -> float:
    """Read by the standard library, as a program in C or Go would: nothing but the lines."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps(_request(max_tokens) | {"stream": True, "stream_options": {"include_usage": True}})
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    first, tokens = 0.0, 0
    for line in connection.getresponse():
        if line.startswith(b"data: {"):
            chunk = json.loads(line[6:])
            if not first and chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                first = time.perf_counter()
            if usage := chunk.get("usage"):
                tokens = usage["completion_tokens"]
    ended = time.perf_counter()
    connection.close()
    return (ended - first) * 1e3 / (tokens - 1)


def over_openai(client: OpenAI, max_tokens: int) -> float:
    """Read by OpenAI's client for Python."""
    first, tokens = 0.0, 0
    for chunk in client.chat.completions.create(
        **_request(max_tokens), stream=True, stream_options={"include_usage": True}
    ):
        if not first and chunk.choices and chunk.choices[0].delta.content:
            first = time.perf_counter()
        if chunk.usage:
            tokens = chunk.usage.completion_tokens
    return (time.perf_counter() - first) * 1e3 / (tokens - 1)


def over_grpc(address: str, max_tokens: int) -> float:
    """Read by edged's client."""

    async def ask() -> float:
        async with Client(address) as client:
            return (await server_path.ask(client, max_tokens)).token_ms

    return asyncio.run(ask())


def _request(max_tokens: int) -> dict[str, object]:
    message = {"role": "user", "content": QUESTION}
    return {"model": "", "messages": [message], "temperature": 0.0, "max_tokens": max_tokens}


def main(arguments: list[str]) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=256)
    options = parser.parse_args(arguments)
    (engines, *_) = [folder for folder in load_config(os.environ).paths.engines if (folder / options.model).exists()]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with short_folder() as folder:
        home = Home(Path(folder), engines, options.model, {"EDGED_ENGINE__THREADS": "0"})
        with (
            home.daemon("--http", f"127.0.0.1:{port}"),
            OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="EMPTY", max_retries=0) as client,
        ):
            ways: dict[str, Way] = {
                "gRPC": lambda tokens: over_grpc(home.address, tokens),
                "HTTP": lambda tokens: over_http(port, tokens),
                "HTTP, openai-python": lambda tokens: over_openai(client, tokens),
            }
            rounds = [{name: way(options.tokens) for name, way in ways.items()} for _ in range(options.rounds + 1)][1:]
    print(f"{date.today()}, {commit()}, {processor()}, {options.model}, {options.tokens} tokens")
    for name in ways:
        extra = statistics.median(one[name] / one["gRPC"] for one in rounds) - 1
        print(f"{name}: {statistics.median(one[name] for one in rounds):.2f} ms a token, {extra:+.1%} over gRPC")


if __name__ == "__main__":
    main(sys.argv[1:])
