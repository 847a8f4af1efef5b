"""What an answer is made of, as it comes: words, calls of tools, and what those returned that the daemon ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edged.events import (
    Part,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    ToolReturned,
    TurnEvent,
)


@dataclass(slots=True)
class _Piece:
    """A stretch of words, or a call where `call` says whose arguments these are."""

    call: ToolCallStarted | None = None
    texts: list[str] = field(default_factory=list)


class AnswerParts:
    """Collects events; those of other kinds change nothing."""

    def __init__(self) -> None:
        self._pieces: list[_Piece | ToolResult] = []

    def take(self, event: TurnEvent) -> None:
        """Take the next event."""
        match event:
            case TextDelta(text=text):
                self._piece(is_call=False).texts.append(text)
            case ToolCallStarted():
                self._pieces.append(_Piece(event))
            case ToolCallDelta(text=text):
                self._piece(is_call=True).texts.append(text)
            case ToolReturned(call_id=call_id, content=content):
                self._pieces.append(ToolResult(call_id=call_id, content=content))

    def parts(self, *, with_open_calls: bool) -> tuple[Part, ...]:
        """All of it in order. A call that nothing was returned to may be one that was broken off."""
        returned = {piece.call_id for piece in self._pieces if isinstance(piece, ToolResult)}
        return tuple(
            part for part in self._all() if with_open_calls or not isinstance(part, ToolCall) or part.id in returned
        )

    def _all(self) -> Iterator[Part]:
        for piece in self._pieces:
            if isinstance(piece, ToolResult):
                yield piece
            elif piece.call:
                yield ToolCall(id=piece.call.id, name=piece.call.name, arguments="".join(piece.texts))
            elif text := "".join(piece.texts):
                yield Text(text=text)

    def _piece(self, *, is_call: bool) -> _Piece:
        """The last one, or a new one where that is of another kind."""
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, _Piece) and (last.call is not None) == is_call:
            return last
        piece = _Piece()
        self._pieces.append(piece)
        return piece
