"""Tools in a request, as OpenAI's documentation has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

_Name = Annotated[str, StringConstraints(max_length=200)]
_Words = Annotated[str, StringConstraints(min_length=0)]


class Function(BaseModel):
    """What a tool is called and takes."""

    name: _Name
    description: _Words | None = None
    parameters: dict[str, Any] | None = Field(default=None, description="A JSON Schema; arguments always keep to it")
    strict: bool | None = None


class DeclaredTool(BaseModel):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function


class FunctionName(BaseModel):
    """Which tool."""

    name: _Name


class NamedTool(BaseModel):
    """The one tool that is to be called."""

    type: Literal["function"]
    function: FunctionName


class FunctionCall(BaseModel):
    """What was called, and with what."""

    name: _Name
    arguments: _Words = Field(description="A JSON object, as text")


class AssistantCall(BaseModel):
    """A call that the model made earlier."""

    id: _Name
    type: Literal["function"] = "function"
    function: FunctionCall


ToolChoice = Literal["none", "auto", "required"] | NamedTool
