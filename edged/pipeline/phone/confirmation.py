"""Which actions a person has to agree to before they are done, whatever the model thinks of them.

A model may call a tap sensitive. That cannot be relied on, for it may be wrong, or have been talked into something by
what the screen says. So the words at the place that is touched count as well. What a picture without words does, such
as an arrow that sends, nobody can tell from outside.
"""

from __future__ import annotations

import re

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

_SENSITIVE = re.compile(
    r"\b(?:pay(?:ments?)?|buy|purchase|(?:place|submit) order|order now|check ?out|transfer|withdraw|donate|top up"
    r"|subscribe|delete|remove|erase|clear all|empty trash|uninstall|reset|send|reply|post|publish|share|call|dial"
    r"|log ?out|sign ?out|deactivate|authori[sz]e)\b"
    "|支付|付款|收银|购买|下单|提交订单|结算|转账|汇款|充值|提现|捐款|续费|开通|删除|移除|清空|清除|卸载|重置|恢复出厂|注销"
    "|发送|发表|发布|回复|分享|拨打|呼叫|退出登录|授权",
    re.IGNORECASE,
)
_AGREEMENT = re.compile(
    r"^\W*(?:ok(?:ay)?|yes|confirm|continue|agree|allow|accept|done|submit)\W*$"
    r"|^\W*(?:确定|确认|是的?|好的?|同意|允许|继续|完成|提交)\W*$",
    re.IGNORECASE,
)
_SLIDER = re.compile(r"\b(?:slide|swipe)\b|滑动|右滑|向右滑", re.IGNORECASE)
_BESIDE_X, _BESIDE_Y = 150, 30
"""Thousandths of the screen by which a button may be larger than its words."""


def confirmation(action: PhoneAction, screen: PictureText | None) -> str:
    """Why a person has to agree, or do something themselves; empty where nobody has to.

    screen: what it says; None where nobody could read it, and then every touch but a swipe is one to agree to.
    """
    match action:
        case TakeOver(message=message):
            return f"you are to take over: {message}"
        case Interact():
            return "you are to choose"
        case Tap(message=message) if message:
            return f"the model calls it sensitive: {message}"
        case Tap(element=place) | DoubleTap(element=place) | LongPress(element=place):
            return _touch(place, screen)
        case Swipe(start=place):
            return _slide(place, screen)
        case TypeText(text=text) | TypeName(text=text) if "\n" in text:
            return "a line break may send what is typed"
    return ""


def _touch(place: ScreenPlace, screen: PictureText | None) -> str:
    if screen is None:
        return "nobody could read what the screen says there"
    touched = [line.text for line in screen.lines if _is_at(place, line.corners)]
    for text in touched:
        if _SENSITIVE.search(text):
            return f'the screen says "{_short(text)}" there'
    if any(_AGREEMENT.search(text) for text in touched):
        asked = next((line.text for line in screen.lines if _SENSITIVE.search(line.text)), "")
        if asked:
            return f'it agrees to a screen that says "{_short(asked)}"'
    return ""


def _slide(place: ScreenPlace, screen: PictureText | None) -> str:
    """Only along a slider: lists that are scrolled are full of words."""
    sliders = [line for line in screen.lines if _SLIDER.search(line.text)] if screen else []
    touched = next((line.text for line in sliders if _is_at(place, line.corners)), "")
    return f'the screen says "{_short(touched)}" there' if touched else ""


def _is_at(place: ScreenPlace, corners: Corners) -> bool:
    xs, ys = [x * 1000 for x, _ in corners], [y * 1000 for _, y in corners]
    is_across = min(xs) - _BESIDE_X <= place.x <= max(xs) + _BESIDE_X
    return is_across and min(ys) - _BESIDE_Y <= place.y <= max(ys) + _BESIDE_Y


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
