"""The text in the newest picture of a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from edged.pipeline.tools.local_tool import LocalTool, Occasion
from edged.records import PictureText


class TextReader(Protocol):
    """Reads what is written in pictures."""

    async def read_text(self, data: bytes, *, field: str) -> PictureText:
        """Of an encoded picture. Raises InvalidInput naming that field, QueueFull, MissingExtra, ArtefactError."""
        ...


def read_picture_tool(reader: TextReader) -> LocalTool:
    """Of pictures that came with the conversation or were looked at in this turn."""

    async def read(arguments: Mapping[str, Any], occasion: Occasion) -> str:
        if not occasion.pictures:
            return "error: there is no picture in this conversation"
        read = await reader.read_text(occasion.pictures[-1].data, field="picture")
        return read.text or "there is no text in the picture"

    return LocalTool(
        name="read_picture", description="Reads the text in the last picture of this conversation.", run=read
    )
