"""Which actions a person has to agree to before they are done, whatever the model thinks of them.

A model may call a tap sensitive. That cannot be relied on, for it may be wrong, or have been talked into something by
what the screen says. So the words at the place that is touched count as well. What a picture without words does, such
as an arrow that sends, nobody can tell from outside; there the task counts, and what the model thought.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edged.pipeline.phone.sensitive import agrees, of_button, of_task
from edged.records import (
    Corners,
    DoubleTap,
    Interact,
    LongPress,
    PhoneAction,
    PictureText,
    ScreenPlace,
    Swipe,
    TakeOver,
    Tap,
    TypeName,
    TypeText,
)

_SLIDER = re.compile(r"\b(?:slide|swipe)\b|滑动|右滑|向右滑", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?]\s+|[。！？\n]")
_BESIDE_X, _BESIDE_Y = 150, 30
"""Thousandths of the screen by which a button may be larger than its words."""


def confirmation(
    action: PhoneAction, screen: PictureText | None, *, task: str = "", thought: str = "", has_typed: bool = False
) -> str:
    """Why a person has to agree, or do something themselves; empty where nobody has to.

    screen: what it says; None where nobody could read it, and then every touch but a swipe is one to agree to.
    thought: what the model thought before it. has_typed: the step before wrote something.
    """
    match action:
        case TakeOver(message=message):
            return f"you are to take over: {message}"
        case Interact():
            return "you are to choose"
        case Tap(message=message) if message:
            return f"the model calls it sensitive: {message}"
        case Tap(element=place) | DoubleTap(element=place) | LongPress(element=place):
            if screen is None:
                return "nobody could read what the screen says there"
            touched = [line.text for line in screen.lines if _is_at(place, line.corners)]
            said = [line.text for line in screen.lines]
            return _words(touched, said, task) if touched else _nothing_written(said, task, thought, has_typed)
        case Swipe(start=place):
            return _slide(place, screen)
        case TypeText(text=text) | TypeName(text=text) if "\n" in text:
            return "a line break may send what is typed"
    return ""


def touched(action: PhoneAction, screen: PictureText | None) -> str:
    """What the screen says where the action touches it, or nearest to that; empty for nothing."""
    match action:
        case Tap(element=place) | DoubleTap(element=place) | LongPress(element=place) | Swipe(start=place) if screen:
            lines = [line for line in screen.lines if _is_at(place, line.corners)]
            nearest = min(lines, key=lambda line: _distance(place, line.corners), default=None)
            return _short(nearest.text) if nearest else ""
    return ""


def _words(touched: Sequence[str], said: Sequence[str], task: str) -> str:
    """Of a touch on these words, on a screen that says those."""
    if sensitive := next(filter(of_button, touched), ""):
        return f'the screen says "{_short(sensitive)}" there'
    if not any(map(agrees, touched)):
        return ""
    if asked := next(filter(of_button, said), ""):
        return f'it agrees to a screen that says "{_short(asked)}"'
    deeds = of_task(task)
    return f"it agrees to something, and the task is to {_together(deeds)}" if deeds else ""


def _nothing_written(said: Sequence[str], task: str, thought: str, has_typed: bool) -> str:
    """Of a touch on a picture or on nothing: most open or close something, some send or pay.

    What the model thought last counts, and what the task asks for, once the screen speaks of the same or something
    was written that may be sent.
    """
    last = _SENTENCE_END.split(thought.strip().rstrip(".!?。！？"))[-1]
    if of_button(last):
        return f'nothing is written there, and the model thought "{_short(last)}"'
    asked = of_task(task)
    deeds = asked if has_typed else asked & {deed for text in said for deed in of_button(text)}
    return f"nothing is written there, and the task is to {_together(deeds)}" if deeds else ""


def _together(deeds: set[str]) -> str:
    return " and to ".join(sorted(deeds))


def _slide(place: ScreenPlace, screen: PictureText | None) -> str:
    """Only along a slider: lists that are scrolled are full of words."""
    sliders = [line for line in screen.lines if _SLIDER.search(line.text)] if screen else []
    touched = next((line.text for line in sliders if _is_at(place, line.corners)), "")
    return f'the screen says "{_short(touched)}" there' if touched else ""


def _is_at(place: ScreenPlace, corners: Corners) -> bool:
    across, along = _away(place, corners)
    return across <= _BESIDE_X and along <= _BESIDE_Y


def _distance(place: ScreenPlace, corners: Corners) -> float:
    return sum(_away(place, corners))


def _away(place: ScreenPlace, corners: Corners) -> tuple[float, float]:
    """Thousandths across and along the screen; 0 within."""
    xs, ys = [x * 1000 for x, _ in corners], [y * 1000 for _, y in corners]
    return max(min(xs) - place.x, place.x - max(xs), 0), max(min(ys) - place.y, place.y - max(ys), 0)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
