"""English words for numbers. Arguments that are text may hold thousands separators."""

from __future__ import annotations

ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", *["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
SCALES = ("", *["thousand", "million", "billion", "trillion"])
MAX_DIGITS = 3 * len(SCALES)
"""A longer number is read digit by digit."""

_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """1234 -> one thousand two hundred thirty-four. 0 <= number < 10 ** MAX_DIGITS."""
    groups = []
    for scale in SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(f"{_below_thousand(group)} {scale}".strip())
    return " ".join(reversed(groups)) or ONES[0]


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{ONES[hundreds]} hundred"] if hundreds else []
    if rest >= 20:
        tens, ones = divmod(rest, 10)
        words.append(f"{TENS[tens]}-{ONES[ones]}" if ones else TENS[tens])
    elif rest:
        words.append(ONES[rest])
    return " ".join(words)


def ordinal(number: int) -> str:
    """21 -> twenty-first."""
    words = cardinal(number)
    head = words[: max(words.rfind(" "), words.rfind("-")) + 1]
    last = words[len(head) :]
    return head + _ORDINALS.get(last, last[:-1] + "ieth" if last.endswith("y") else last + "th")


def plural(word: str) -> str:
    """Of a number word: sixes, twenties, thirds."""
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith("x") else "s")


def year(number: int) -> str:
    """1999 -> nineteen ninety-nine; 1905 -> nineteen oh five; 2007 -> two thousand seven. 0 <= number <= 9999."""
    century, rest = divmod(number, 100)
    if century < 10 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def decade(number: int) -> str:
    """1990 -> nineteen nineties; 80 -> eighties; 1900 -> nineteen hundreds."""
    return plural(year(number) if number >= 100 else cardinal(number))


def digits(text: str) -> str:
    """Each digit of the text by name, the rest left out: 042 -> zero four two."""
    return " ".join(ONES[int(character)] for character in text if character.isdecimal())


def spoken_number(text: str) -> str:
    """Like 1,234.5 or .5 or 007."""
    whole, point, fraction = text.replace(",", "").partition(".")
    if len(whole) > MAX_DIGITS or (len(whole) > 1 and int(whole[0]) == 0):
        words = digits(whole)
    else:
        words = cardinal(int(whole)) if whole else ""
    return f"{words} point {digits(fraction)}".strip() if point and fraction else words


def is_one(text: str) -> bool:
    """Whether what is counted stands in the singular."""
    return text.isdecimal() and len(text) == 1 and int(text) == 1


def fraction(numerator: int, denominator: int) -> str:
    """3, 4 -> three quarters; 8, 10 -> eight out of ten; 5, 64 -> five over sixty-four."""
    if denominator in (10, 100):
        return f"{cardinal(numerator)} out of {cardinal(denominator)}"
    if numerator == 0 or not 2 <= denominator <= 20:
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    part = {2: "half", 4: "quarter"}.get(denominator) or ordinal(denominator)
    if numerator == 1:
        return f"one {part}"
    return f"{cardinal(numerator)} {'halves' if denominator == 2 else plural(part)}"


def mixed(whole: int, numerator: int, denominator: int) -> str:
    """1, 1, 2 -> one and a half."""
    part = fraction(numerator, denominator)
    return f"{cardinal(whole)} and {'a ' + part[4:] if part.startswith('one ') else part}"
