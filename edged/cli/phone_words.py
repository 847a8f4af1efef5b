"""A step on a phone in words, for the person who is asked about it."""

from __future__ import annotations

import json

from edged.records import (
    Back,
    CallApi,
    DoubleTap,
    Finish,
    Home,
    Interact,
    Launch,
    LongPress,
    Note,
    PhoneStep,
    ScreenPlace,
    Swipe,
    TakeOver,
    Tap,
    TypeName,
    TypeText,
    Wait,
)


def in_words(step: PhoneStep) -> str:
    """What is done, with what is written there and places in pixels; one line."""

    def at(place: ScreenPlace) -> str:
        x, y = place.pixel(step.width, step.height)
        return f"{x}, {y}"

    def there(place: ScreenPlace) -> str:
        return f"{quoted(step.touched)} (at {at(place)})" if step.touched else f"at {at(place)}"

    match step.action:
        case Launch(app=app):
            return f"Open {quoted(app)}"
        case Tap(element=place):
            return f"Tap {there(place)}"
        case DoubleTap(element=place):
            return f"Tap twice {there(place)}"
        case LongPress(element=place):
            return f"Press and hold {there(place)}"
        case Swipe(start=start, end=end):
            slider = f"{quoted(step.touched)} " if step.touched else ""
            return f"Swipe {slider}from {at(start)} to {at(end)}"
        case TypeText(text=text) | TypeName(text=text):
            return f"Type {quoted(text)}"
        case Back():
            return "Go back"
        case Home():
            return "Go to the home screen"
        case Wait(seconds=seconds):
            return f"Wait for {seconds} seconds"
        case TakeOver() | Interact():
            return "Let you go on"
        case Note() | CallApi():
            return "Keep in mind what the screen says"
        case Finish(message=message):
            return f"End with {quoted(message)}"


def quoted(text: str) -> str:
    """In quotation marks, with line breaks and the like spelled out."""
    return json.dumps(text, ensure_ascii=False)
