"""The tools that are switched on, and what comes of a call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from edged.errors import EdgedError
from edged.events import Tool, ToolCall
from edged.pipeline.tools.local_tool import LocalTool, Occasion
from edged.records import Reader

MAX_RESULT_CHARACTERS = 4000
"""Of what the model reads of a result."""
CALL_SECONDS = 30.0


class Toolbox:
    """Of one daemon."""

    def __init__(self, tools: Sequence[LocalTool] = ()) -> None:
        """Those that are switched on."""
        self._tools = {tool.name: tool for tool in tools}

    def offered(self, reader: Reader) -> tuple[Tool, ...]:
        """What the model may call when they ask."""
        return tuple(tool.declaration for tool in self._tools.values() if tool.is_for(reader))

    async def call(self, call: ToolCall, occasion: Occasion) -> str:
        """What the tool returns, or in words why it returns nothing; for the model."""
        tool = self._tools.get(call.name)
        if tool is None or not tool.is_for(occasion.reader):
            return "error: there is no such tool"
        try:
            async with asyncio.timeout(CALL_SECONDS):
                result = await tool.run(_arguments(call.arguments), occasion)
        except TimeoutError:
            return f"error: it took longer than {CALL_SECONDS:g} seconds"
        except EdgedError as exc:
            return f"error: {exc.message}"
        return result if len(result) <= MAX_RESULT_CHARACTERS else f"{result[:MAX_RESULT_CHARACTERS]}… (cut off)"


def _arguments(text: str) -> dict[str, Any]:
    """They keep to the schema: the grammar of the call was made of it."""
    value = json.loads(text)
    assert isinstance(value, dict)
    return value
