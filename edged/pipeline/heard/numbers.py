"""Numbers and durations as people say them, in words or figures, in English and Chinese.

English text is lower-case words with single spaces, Chinese text has no spaces (`words.py` makes them so).
"""

from __future__ import annotations

import re

from edged.pipeline.spoken import chinese_numbers
from edged.pipeline.spoken.english_numbers import ONES, TENS

_ENGLISH = {word: value for value, word in enumerate(ONES)} | {
    word: 10 * value for value, word in enumerate(TENS) if word
}
_SECONDS = {
    "second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "m": 60, "hour": 3600, "hr": 3600, "h": 3600,
    "day": 86400,
}  # fmt: skip
_PARTS = {"half": 0.5, "quarter": 0.25, "three quarters": 0.75, "third": 1 / 3}
_PART_OF_ONE = re.compile(r"(?:a )?(half|quarter|three quarters|third) (?:of )?(?:an? )?([a-z]+)")

_CHINESE = {digit: value for value, digit in enumerate(chinese_numbers.DIGITS)} | {"两": 2, "〇": 0, "幺": 1}
_CHINESE_SIZES = {"十": 10, "百": 100, "千": 1000}
_CHINESE_NUMBER = r"([0-9.]+|[零〇一二两三四五六七八九十百千]+(?:点[零一二三四五六七八九]+)?)"
_CHINESE_DURATION = re.compile(
    rf"(?:(?:{_CHINESE_NUMBER}个?(半)?(?:小时|钟头))|(半)个?(?:小时|钟头))?(?:又|零|加|和)?"
    rf"(?:{_CHINESE_NUMBER}分(?:钟)?(半)?(?:钟)?|{_CHINESE_NUMBER}(刻)钟?|(半)分钟)?(?:又|零|加|和)?"
    rf"(?:{_CHINESE_NUMBER}秒(?:钟)?)?"
)


def english_number(words: str) -> float | None:
    """twenty five, one hundred and five, 2.5, two point five, a, 1 1/2; None for anything else."""
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", words):
        return float(words)
    if mixed := re.fullmatch(r"(?:(\d{1,9}) )?(\d{1,3})/([1-9]\d{0,2})", words):
        return int(mixed[1] or 0) + int(mixed[2]) / int(mixed[3])
    if words in ("a", "an"):
        return 1.0
    if words in ("a couple", "a couple of", "couple of"):
        return 2.0
    whole, point, part = words.partition(" point ")
    number = _english_whole(whole.split())
    if number is None or not point:
        return number
    figures = [_ENGLISH.get(word, 10) for word in part.split()]
    return float(f"{int(number)}.{''.join(map(str, figures))}") if figures and max(figures) < 10 else None


def _english_whole(words: list[str]) -> float | None:
    """Of words such as one hundred and twenty five."""
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if name not in words:
            continue
        place = words.index(name)
        rest = words[place + 2 :] if words[place + 1 : place + 2] == ["and"] else words[place + 1 :]
        many = 1.0 if words[:place] in ([], ["a"]) else _english_whole(words[:place])
        more = _english_whole(rest) if len(words) > place + 1 else 0.0
        return None if many is None or more is None or more >= size or many >= 100 else many * size + more
    values = [_ENGLISH.get(word, -1) for word in words]
    if len(values) == 1 and values[0] >= 0:
        return float(values[0])
    if len(values) == 2 and values[0] >= 20 and 1 <= values[1] <= 9:
        return float(sum(values))
    return None


def chinese_number(words: str) -> float | None:
    """二十五, 一百零五, 两点五, 2.5; None for anything else."""
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", words, re.ASCII):
        return float(words)
    whole, point, part = words.partition("点")
    if point:
        figures = [_CHINESE.get(character) for character in part]
        number = chinese_number(whole) if not whole.isascii() else None
        if number is None or not figures or None in figures:
            return None
        return float(f"{int(number)}.{''.join(map(str, figures))}")
    return _chinese_whole(words)


def _chinese_whole(words: str) -> float | None:
    """Of numerals such as 一百零五; a last digit counts in tens behind a hundred, as in 一百二."""
    total, digit, smallest = 0, -1, 10_000
    for place, character in enumerate(words):
        if size := _CHINESE_SIZES.get(character):
            if size >= smallest or digit == 0 or (digit < 0 and (size, place) != (10, 0)):
                return None
            total, digit, smallest = total + abs(digit) * size, -1, size
        elif character not in _CHINESE or digit > 0 or (digit == 0 and not total):
            return None
        else:
            digit = _CHINESE[character]
    if digit > 0 and total:
        digit *= max(1, smallest // 10) if words[-2] in _CHINESE_SIZES else 1
    elif (digit == 0 and total) or not words:
        return None
    return float(total + max(digit, 0))


def english_seconds(words: str) -> float | None:
    """five minutes, an hour and a half, two and a half minutes, 1 hour 20, half an hour; None for anything else."""
    if (found := _PART_OF_ONE.fullmatch(words)) and (unit := _SECONDS.get(_singular(found[2]))):
        return _PARTS[found[1]] * unit
    total, smallest, amount = 0.0, 100_000, list[str]()
    tokens = re.sub(r"(?<=\d)(?=[a-z])|(?<=[a-z])(?=\d)", " ", words).split()
    while tokens:
        token = tokens.pop(0)
        if (unit := _SECONDS.get(_singular(token))) is None or not amount:
            amount.append(token)
            continue
        number = _amount(" ".join(amount).removeprefix("and "))
        if number is None or unit >= smallest:
            return None
        if tokens[:2] == ["and", "a"] and (part := _PARTS.get(" ".join(tokens[2:3]))):
            number, tokens = number + part, tokens[3:]
        total, smallest, amount = total + number * unit, unit, []
    if amount and smallest in (3600, 60):  # one hour twenty
        rest = english_number(" ".join(amount).removeprefix("and "))
        return None if rest is None else total + rest * smallest / 60
    return total if smallest < 100_000 and not amount else None


def _amount(words: str) -> float | None:
    """two and a half, twenty five."""
    whole, _, part = words.rpartition(" and a ")
    if whole and part in _PARTS:
        number = english_number(whole)
        return None if number is None else number + _PARTS[part]
    return english_number(words)


def _singular(unit: str) -> str:
    return unit.removesuffix("s") if len(unit) > 1 else unit


def chinese_seconds(words: str) -> float | None:
    """五分钟, 一个半小时, 两分半, 一小时二十分钟, 一刻钟; None for anything else."""
    found = _CHINESE_DURATION.fullmatch(words)
    if not words or not found:
        return None
    hours, half_hour, only_half_hour, minutes, half_minute, quarters, _, only_half_minute, seconds = found.groups()
    total = 0.0
    for amount, unit in ((hours, 3600), (minutes, 60), (quarters, 900), (seconds, 1)):
        if amount:
            number = chinese_number(amount)
            if number is None:
                return None
            total += number * unit
    return total + 1800 * bool(half_hour or only_half_hour) + 30 * bool(half_minute or only_half_minute)
