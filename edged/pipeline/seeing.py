"""Pictures in a message to a model that reads text alone: what can be seen in them is put in words first."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from edged.events import Image, Part
from edged.pipeline.ports import Sight
from edged.vision.metadata import without_metadata


async def stripped(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts, each picture without what its file says beside it, and without a description that a client made up.

    Raises InvalidInput, naming the part, for a damaged one that cannot be drawn anew.
    """
    return tuple(
        [
            replace(
                part,
                data=await asyncio.to_thread(without_metadata, part.data, field=f"parts[{index}]"),
                description="",
            )
            if isinstance(part, Image)
            else part
            for index, part in enumerate(parts)
        ]
    )


async def put_in_words(parts: tuple[Part, ...], sight: Sight) -> tuple[Part, ...]:
    """The parts, each picture with its description.

    Raises InvalidInput, naming the part, for what is no picture; and what else `Sight.describe` raises.
    """
    return tuple(
        [
            replace(part, description=(await sight.describe(part.data, field=f"parts[{index}]")).text)
            if isinstance(part, Image)
            else part
            for index, part in enumerate(parts)
        ]
    )
