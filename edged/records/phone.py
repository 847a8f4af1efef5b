"""Steps of driving a phone: what a model says to do, and where on the screen."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class PhoneLanguage(enum.StrEnum):
    """What a model is told its part in."""

    ENGLISH = "en"
    CHINESE = "zh"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenPlace:
    """Thousandths of the screen from its left (x) and its top (y), each from 0 to 999."""

    x: int
    y: int

    def pixel(self, width: int, height: int) -> tuple[int, int]:
        """The same on a screen of so many pixels."""
        return self.x * width // 1000, self.y * height // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Open the app of that name."""

    app: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """Touch shortly."""

    element: ScreenPlace
    message: str = ""
    """Set where the model itself calls the tap sensitive: what it would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleTap:
    """Touch twice."""

    element: ScreenPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class LongPress:
    """Touch for a second."""

    element: ScreenPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Swipe:
    """Draw a finger over the screen."""

    start: ScreenPlace
    end: ScreenPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeText:
    """Write into the field that has the focus."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeName:
    """The same with the name of a person."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """Press the back key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Press the home key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Let the screen load."""

    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver:
    """Somebody has to do what the model must not, such as logging in."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interact:
    """Several things fit, and somebody has to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Keep in mind what this screen says."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallApi:
    """Sum up, or remark on, what was noted."""

    instruction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The task is done, or cannot be."""

    message: str


PhoneAction = (
    Launch
    | Tap
    | DoubleTap
    | LongPress
    | Swipe
    | TypeText
    | TypeName
    | Back
    | Home
    | Wait
    | TakeOver
    | Interact
    | Note
    | CallApi
    | Finish
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastStep:
    """One of the steps before."""

    action: PhoneAction
    failure: str = ""
    """Why it was not done; empty if it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """What one step is asked with."""

    task: str
    screenshot: bytes
    """The screen as it is now: a JPEG, PNG, WebP or GIF file."""
    history: tuple[PastStep, ...] = ()
    """Oldest first."""
    app: str = ""
    """In front, where that is known."""
    model: str = ""
    """Name of an installed engine; empty means the default one."""
    language: PhoneLanguage | None = None
    """None for that of the task."""
    enable_thinking: bool = True
    max_reasoning_tokens: int | None = None
    """None for 1024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneStep:
    """What to do next."""

    action: PhoneAction
    confirmation: str
    """Why a person has to agree before it is done, or do something themselves; empty where nobody has to."""
    width: int
    """Of the screenshot, in pixels; so is height."""
    height: int
    touched: str = ""
    """What is written where it touches; empty where nothing is, or nobody could read it."""
