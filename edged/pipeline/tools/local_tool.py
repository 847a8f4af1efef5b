"""A tool of the daemon's own: what the model is told of it, who may use it, and what it does."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edged.events import Image, Tool
from edged.records import Reader, Scope


@dataclass(slots=True, kw_only=True)
class Occasion:
    """The turn in which a tool is called."""

    reader: Reader
    """For whom."""
    pictures: list[Image] = field(default_factory=list)
    """Of the conversation, and those looked at since; the newest last."""


Run = Callable[[Mapping[str, Any], Occasion], Awaitable[str]]
"""Takes arguments that keep to the tool's schema; what it returns is for the model. Raises EdgedError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTool:
    """One of them."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The properties of its arguments, as JSON Schema has them; each is required unless its schema has a default."""
    uses: Sequence[Mapping[str, Any]] = ()
    """Instead, where it is used in several ways: the properties in each of them."""
    scope: Scope | None = None
    """What whoever asks must be allowed; None for everybody."""
    run: Run

    @property
    def declaration(self) -> Tool:
        """For the model."""
        uses = list(map(_schema, self.uses))
        schema = {"type": "object", "anyOf": uses} if uses else _schema(self.parameters)
        return Tool(name=self.name, description=self.description, parameters=json.dumps(schema))

    def is_for(self, reader: Reader) -> bool:
        """Whether they may use it."""
        return self.scope is None or self.scope in reader.scopes


def _schema(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": parameters,
        "required": [name for name, value in parameters.items() if "default" not in value],
        "additionalProperties": False,
    }
