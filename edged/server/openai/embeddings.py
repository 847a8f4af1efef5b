"""/v1/embeddings."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edged.errors import InvalidInput, NotFound
from edged.server.openai.answer_schema import EmbeddingList
from edged.server.openai.answers import answered
from edged.server.openai.description import POSTED, answers, errors
from edged.server.openai.parts import Parts
from edged.server.openai.schema import EmbeddingRequest


def add_embeddings(app: FastAPI, parts: Parts) -> None:
    """The path."""

    @app.post("/v1/embeddings", responses=answers(EmbeddingList) | errors(404, *POSTED))
    async def embeddings(asked: EmbeddingRequest, request: Request) -> Response:
        """Put texts where those that mean the same are near each other: a vector of length 1 for each."""

        async def work() -> Response:
            # Writing down a million numbers takes a while, in which answers would stand still.
            return await asyncio.to_thread(JSONResponse, await _embedded(parts, asked))

        return await answered(parts.border, request, work)


async def _embedded(parts: Parts, asked: EmbeddingRequest) -> dict[str, Any]:
    name = parts.embedder.name
    if asked.model and not parts.is_embedder(asked.model):
        raise NotFound(f"no embedding model named {asked.model}: there is {name}", resource=("model", asked.model))
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not all(texts):
        raise InvalidInput("a text is empty", field="input")
    if asked.dimensions not in (None, parts.embedder.dimensions):
        raise InvalidInput(f"{name} has {parts.embedder.dimensions} dimensions", field="dimensions")
    found = await parts.embedder.embed(texts)
    return {
        "object": "list",
        "model": name,
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(vector, asked.encoding_format)}
            for index, vector in enumerate(found.vectors)
        ],
        "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
    }


def _written(vector: Sequence[float], form: str | None) -> str | Sequence[float]:
    """base64 is of little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if form == "base64" else vector
