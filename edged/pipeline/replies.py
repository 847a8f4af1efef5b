"""What is said back to a plain command, in English and Chinese. Figures are left to `speakable`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from edged.errors import InvalidInput
from edged.pipeline.intents import (
    CancelTimer,
    ChangeVolume,
    Intent,
    Mute,
    SetTimer,
    Stop,
    TellDate,
    TellTime,
    TimeLeft,
)
from edged.pipeline.language import primary_language
from edged.pipeline.spoken.chinese_numbers import DIGITS
from edged.pipeline.spoken.chinese_numbers import cardinal as chinese_cardinal
from edged.pipeline.spoken.chinese_numbers import counted as chinese_counted
from edged.pipeline.spoken.durations import chinese_duration, english_duration
from edged.pipeline.spoken.english_calendar import MONTHS, WEEKDAYS
from edged.pipeline.spoken.english_numbers import cardinal
from edged.pipeline.timers import MAX_SECONDS, MAX_TIMERS, Timer

CHINESE_WEEKDAYS = "一二三四五六日"


def reply(
    intent: Intent,
    language: str,
    *,
    now: datetime,
    timers: Sequence[tuple[Timer, float]] = (),
    cancelled: Sequence[Timer] = (),
) -> str:
    """What is said once the command was carried out; empty after Stop.

    `now` is local time. `timers` are those that run now, with the seconds left, and `cancelled` those that
    CancelTimer removed. Languages other than Chinese are answered in English.
    """
    chinese = primary_language(language) == "zh"
    match intent:
        case TellTime():
            return _chinese_time(now) if chinese else _english_time(now)
        case TellDate():
            return _chinese_date(now) if chinese else _english_date(now)
        case SetTimer():
            return _chinese_set(intent) if chinese else _english_set(intent)
        case CancelTimer():
            running = [timer for timer, _ in timers]
            return (_chinese_cancelled if chinese else _english_cancelled)(intent, running, cancelled)
        case TimeLeft():
            return (_chinese_left if chinese else _english_left)(intent, timers)
        case ChangeVolume():
            return _chinese_volume(intent) if chinese else _english_volume(intent)
        case Mute():
            return "麦克风已关闭。" if chinese else "The microphone is off."
        case Stop():
            return ""


def done(timer: Timer, language: str) -> str:
    """What is said when a timer is done."""
    if primary_language(language) == "zh":
        return f"{_chinese_name(timer.name, timer.seconds)}到时间了。"
    return f"Your {timer.name} timer is done." if timer.name else f"Your timer for {_english_length(timer)} is done."


def cannot_mute(language: str) -> str:
    """What is said where the microphone is somebody else's."""
    if primary_language(language) == "zh":
        return "我关不了你的麦克风。"
    return "I cannot close your microphone; please do it there."


def refusal(error: InvalidInput, language: str) -> str:
    """What is said when `Timers.set` raised `error`."""
    if primary_language(language) == "zh":
        refusals = {
            "seconds": f"定时器可以设一秒到{chinese_duration(MAX_SECONDS)}。",
            "timers": f"已经有{chinese_cardinal(MAX_TIMERS)}个定时器了。",
        }
        return refusals.get(error.field, "这个定时器设不了。")
    refusals = {
        "seconds": f"A timer can run from one second to {english_duration(MAX_SECONDS)}.",
        "timers": f"There are {cardinal(MAX_TIMERS)} timers already.",
    }
    return refusals.get(error.field, "I cannot set that timer.")


def _english_time(now: datetime) -> str:
    return f"It is {(now.hour - 1) % 12 + 1}:{now.minute:02} {'am' if now.hour < 12 else 'pm'}."


def _english_date(now: datetime) -> str:
    return f"It is {WEEKDAYS[now.weekday()]}, {MONTHS[now.month - 1]} {now.day}."


def _english_length(timer: Timer) -> str:
    return english_duration(timer.seconds)


def _english_name(name: str, seconds: float | None) -> str:
    """The timer, as one speaks of it: pasta timer, timer for five minutes, timer."""
    if name:
        return f"{name} timer"
    return "timer" if seconds is None else f"timer for {english_duration(seconds)}"


def _english_set(intent: SetTimer) -> str:
    name = f"{intent.name} timer" if intent.name else "timer"
    return f"{name[0].upper()}{name[1:]} set for {english_duration(intent.seconds)}."


def _english_cancelled(intent: CancelTimer, running: Sequence[Timer], cancelled: Sequence[Timer]) -> str:
    if len(cancelled) > 1:
        return f"{cardinal(len(cancelled)).capitalize()} timers cancelled."
    if cancelled:
        name = _english_name(cancelled[0].name, intent.seconds)
        return f"{name[0].upper()}{name[1:]} cancelled."
    if not running:
        return "No timer is running."
    fitting = [timer for timer in running if timer.fits(intent.name, intent.seconds)]
    if not fitting:
        return f"There is no {_english_name(intent.name, intent.seconds)}."
    return f"There are {cardinal(len(fitting))} of them. Which timer do you mean?"


def _english_left(intent: TimeLeft, timers: Sequence[tuple[Timer, float]]) -> str:
    fitting = [(timer, left) for timer, left in timers if timer.fits(intent.name, intent.seconds)]
    if not timers:
        return "No timer is running."
    if not fitting:
        return f"There is no {_english_name(intent.name, intent.seconds)}."
    if len(fitting) == 1 and not fitting[0][0].name:
        return f"The timer has {english_duration(fitting[0][1])} left."
    return " ".join(
        f"The {_english_name(timer.name, timer.seconds)} has {english_duration(left)} left." for timer, left in fitting
    )


def _english_volume(intent: ChangeVolume) -> str:
    if intent.to is not None:
        return f"Volume at {intent.to} percent."
    return "Louder." if (intent.by or 0) > 0 else "Quieter."


def _chinese_time(now: datetime) -> str:
    if now.minute == 0:
        return f"现在是{chinese_counted(now.hour)}点整。"
    zero = DIGITS[0] if now.minute < 10 else ""
    return f"现在是{chinese_counted(now.hour)}点{zero}{chinese_cardinal(now.minute)}分。"


def _chinese_date(now: datetime) -> str:
    month, day = chinese_cardinal(now.month), chinese_cardinal(now.day)
    return f"今天是{month}月{day}日，星期{CHINESE_WEEKDAYS[now.weekday()]}。"


def _chinese_name(name: str, seconds: float | None) -> str:
    if name:
        return f"{name}定时器"
    return "定时器" if seconds is None else f"{chinese_duration(seconds)}的定时器"


def _chinese_set(intent: SetTimer) -> str:
    return f"已设好{chinese_duration(intent.seconds)}的{intent.name}定时器。"


def _chinese_cancelled(intent: CancelTimer, running: Sequence[Timer], cancelled: Sequence[Timer]) -> str:
    if len(cancelled) > 1:
        return f"已取消{chinese_counted(len(cancelled))}个定时器。"
    if cancelled:
        return f"已取消{_chinese_name(cancelled[0].name, intent.seconds)}。"
    if not running:
        return "没有正在运行的定时器。"
    fitting = [timer for timer in running if timer.fits(intent.name, intent.seconds)]
    if not fitting:
        return f"没有{_chinese_name(intent.name, intent.seconds)}。"
    return f"有{chinese_counted(len(fitting))}个定时器，您要取消哪一个？"


def _chinese_left(intent: TimeLeft, timers: Sequence[tuple[Timer, float]]) -> str:
    fitting = [(timer, left) for timer, left in timers if timer.fits(intent.name, intent.seconds)]
    if not timers:
        return "没有正在运行的定时器。"
    if not fitting:
        return f"没有{_chinese_name(intent.name, intent.seconds)}。"
    if len(fitting) == 1 and not fitting[0][0].name:
        return f"定时器还剩{chinese_duration(fitting[0][1])}。"
    return "".join(
        f"{_chinese_name(timer.name, timer.seconds)}还剩{chinese_duration(left)}。" for timer, left in fitting
    )


def _chinese_volume(intent: ChangeVolume) -> str:
    if intent.to is not None:
        return f"音量百分之{chinese_cardinal(intent.to)}。"
    return "声音大了。" if (intent.by or 0) > 0 else "声音小了。"
