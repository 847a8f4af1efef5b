"""Pictures in a message to a model that reads text alone: what can be seen in them is put in words first."""

from __future__ import annotations

from dataclasses import replace

from edged.events import Image, Part
from edged.pipeline.ports import Sight


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
