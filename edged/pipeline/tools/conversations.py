"""What was said in earlier conversations of whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from edged.pipeline.tools.local_tool import LocalTool, Occasion
from edged.records import Reader, Scope, SearchHit

MAX_HITS = 8


class Search(Protocol):
    """Full-text search over what was said."""

    async def search(
        self, query: str, *, reader: Reader, page_size: int = 0, page_token: str = ""
    ) -> tuple[tuple[SearchHit, ...], str]:
        """Messages that hold every word, newest first. Raises InvalidInput, StoreError."""
        ...


def conversations_tool(memory: Search) -> LocalTool:
    """Finds nothing of anybody else, whoever asks."""

    async def search(arguments: Mapping[str, Any], occasion: Occasion) -> str:
        own = replace(occasion.reader, sees_all=False)
        hits, _ = await memory.search(arguments["words"], reader=own, page_size=MAX_HITS)
        return "\n".join(map(_described, hits)) or "nothing was said with these words"

    return LocalTool(
        name="search_conversations",
        description="Finds what was said in earlier conversations, by words that occur there.",
        parameters={"words": {"type": "string", "minLength": 1, "maxLength": 200}},
        scope=Scope.HISTORY,
        run=search,
    )


def _described(hit: SearchHit) -> str:
    words = hit.snippet.replace("\x02", "").replace("\x03", "")
    return f'{hit.conversation.updated_at:%Y-%m-%d}, "{hit.conversation.title}", {hit.role.value}: {words}'
