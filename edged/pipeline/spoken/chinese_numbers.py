"""Chinese words for numbers. Arguments that are text may hold thousands separators."""

from __future__ import annotations

DIGITS = "零一二三四五六七八九"
TELEPHONE_DIGITS = "零幺二三四五六七八九"
SCALES = ("", "万", "亿", "万亿")
MAX_DIGITS = 4 * len(SCALES)
"""A longer number is read digit by digit."""


def cardinal(number: int) -> str:
    """1234 -> 一千二百三十四; 100010 -> 十万零一十. 0 <= number < 10 ** MAX_DIGITS."""
    if number == 0:
        return DIGITS[0]
    words = ""
    for place in reversed(range(len(SCALES))):
        group = number // 10000**place % 10000
        if group == 0:
            continue
        if words and (group < 1000 or number // 10000 ** (place + 1) % 10000 == 0):
            words += DIGITS[0]
        spoken = _below_ten_thousand(group)
        if not words and 10 <= group <= 19:
            spoken = spoken.removeprefix("一")
        if group == 2 and place:
            spoken = "两"
        words += spoken + SCALES[place]
    return words


def _below_ten_thousand(number: int) -> str:
    words, skipped = "", False
    for size, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // size % 10
        if digit:
            words += DIGITS[0] if skipped and words else ""
            words += ("两" if digit == 2 and size == 1000 else DIGITS[digit]) + name
        skipped = digit == 0
    return words


def counted(number: int) -> str:
    """Before what is counted: 2 -> 两."""
    return "两" if number == 2 else cardinal(number)


def digits(text: str, names: str = DIGITS) -> str:
    """Each digit of the text by name, the rest left out: 2026 -> 二零二六."""
    return "".join(names[int(character)] for character in text if character.isdecimal())


def spoken_number(text: str, *, before_counted: bool = False) -> str:
    """Like 1,234.5 or .5 or 007. `before_counted` says that what is counted follows: 2 -> 两."""
    whole, point, fraction = text.replace(",", "").partition(".")
    if len(whole) > MAX_DIGITS or (len(whole) > 1 and int(whole[0]) == 0):
        words = digits(whole)
    elif point or not before_counted:
        words = cardinal(int(whole or "0"))
    else:
        words = counted(int(whole or "0"))
    return f"{words}点{digits(fraction)}" if point and fraction else words
