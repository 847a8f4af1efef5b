"""How long something takes, in words, to the second."""

from __future__ import annotations

from edged.pipeline.spoken.chinese_numbers import counted
from edged.pipeline.spoken.english_numbers import cardinal


def english_duration(seconds: float) -> str:
    """4800 -> one hour and twenty minutes. At least one second."""
    parts = [f"{cardinal(amount)} {unit}{'' if amount == 1 else 's'}" for amount, unit in _parts(seconds) if amount]
    return " and ".join([*(", ".join(parts[:-1]),) * (len(parts) > 1), parts[-1]])


def chinese_duration(seconds: float) -> str:
    """4800 -> 一小时二十分钟; 150 -> 两分三十秒. At least one second."""
    (hours, _), (minutes, _), (rest, _) = _parts(seconds)
    words = f"{counted(hours)}小时" if hours else ""
    if minutes:
        words += counted(minutes) + ("分" if rest else "分钟")
    return words + (f"{counted(rest)}秒" if rest else "")


def _parts(seconds: float) -> tuple[tuple[int, str], tuple[int, str], tuple[int, str]]:
    minutes, rest = divmod(max(round(seconds), 1), 60)
    hours, minutes = divmod(minutes, 60)
    return (hours, "hour"), (minutes, "minute"), (rest, "second")
