"""Dates, years and times of day in English, month first where figures alone do not tell."""

from __future__ import annotations

import re

from edged.pipeline.spoken.english_calendar import MONTHS, WEEKDAYS
from edged.pipeline.spoken.english_numbers import cardinal, decade, ordinal, year
from edged.pipeline.spoken.rules import Rule, rewrite

_MONTH_OF = {month[:3].lower(): month for month in MONTHS}
_DAY_OF = {day[:3].lower(): day for day in WEEKDAYS}
_MONTH = (
    r"(?<![A-Za-z])(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)(?![A-Za-z])"
)
_ORDINAL = r"(?:st|nd|rd|th)?+(?![A-Za-z\d]|[.:/]\d|,\d{3})"
_YEAR = r"([1-9]\d{3})(?![\d/:]|[.,]\d|[A-Za-z])"
_DAY_YEAR = re.compile(rf"{_MONTH}\.? (\d{{1,2}}){_ORDINAL}(?:(?: ?[-–] ?)(\d{{1,2}}){_ORDINAL})?(?:,? {_YEAR})?")
_DAY_MONTH = re.compile(
    rf"(?<![\w.,/:$€£¥-])([Tt]he )?(\d{{1,2}})(?:st|nd|rd|th)?+ (?:of )?{_MONTH}(?:\.?,? {_YEAR}|\.(?= [a-z]))?"
)
_MONTH_YEAR = re.compile(rf"{_MONTH}\.?,? {_YEAR}")
_DAY_NAME = r"(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)"
_WEEKDAY = re.compile(rf"(?<![A-Za-z]){_DAY_NAME}\.?(?=,? (?:\d{{1,2}}\b|[A-Z][a-z]{{2,8}}\.? \d))")
_WEEKDAY_RANGE = re.compile(rf"(?<![A-Za-z]){_DAY_NAME} ?[-–] ?{_DAY_NAME}(?![A-Za-z])")
_MONTH_RANGE = re.compile(rf"{_MONTH} ?[-–] ?{_MONTH}(?! \d{{1,2}}(?!\d))")
_ISO = re.compile(r"(?<![\w.-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?![\d-])(?:T(?=\d\d:))?")
_FIGURES = re.compile(r"(?<![\w./-])(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?![\w/-]|\.\d)")
_YEARS = re.compile(r"(?<![\w.,/$€£¥-])(1[1-9]\d\d|20\d\d) ?[-–] ?(1[1-9]\d\d|20\d\d)(?![\w/-]|[.,]\d)")
_DECADE = re.compile(r"(?<![\w.,/$€£¥-])['’]?((?:1[1-9]|20)\d0|[2-9]0)['’]?s(?!\w)")
_LONE_YEAR = re.compile(
    r"(?i:(?<!\w)(in|since|until|till|year|circa|during|early|late|mid|before|after|by|from|between|of|the|and|to)[ -])"
    r"(1[1-9]\d\d|20\d\d)(?![\w/%°-]|[.,:]\d| ?(?:%|°|[-–] ?\d))"
)
_EARLY_YEAR = re.compile(r"(?i:(?<!\w)(in|since|until|year|circa) )(10\d\d)(?![\w/%°-]|[.,:]\d)")
_BRACKETED_YEAR = re.compile(r"(?<=[(（])(1[1-9]\d\d|20\d\d)(?=[)）,;])|(?<![\w.,/:-])(1\d{3}|20\d\d)(?= (?:AD|CE)\b)")
_HALVES = r"(?: ?([aApP])(?:\.[mM]\.|[mM])(?![A-Za-z]))"
_CLOCK = re.compile(
    rf"(?<![\w.:,/-])(?:(\d{{1,2}}):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?Z?)?(?![\d:]){_HALVES}?"
    rf"|(\d{{1,2}})(?:\.([0-5]\d))?{_HALVES})"
)
_CLOCK_RANGE = re.compile(
    rf"(?<![\w.:,/-])(\d{{1,2}}(?::[0-5]\d)?{_HALVES}?) ?[-–—] ?"
    rf"(\d{{1,2}}:[0-5]\d(?![\d:])|\d{{1,2}}(?::[0-5]\d)?{_HALVES})"
)


def say_dates(text: str) -> str:
    """The text with its dates and times of day in words. What is no date or time stays as it is."""
    return rewrite(text, _DATES)


def say_years(text: str) -> str:
    """The text with those numbers in words that what stands around them makes years."""
    return rewrite(text, _YEARS_ALONE)


def say_date(month: int, day: int, year_number: int | None = None) -> str:
    """November twenty-sixth, twenty twenty-six."""
    return f"{MONTHS[month - 1]} {ordinal(day)}" + (f", {year(year_number)}" if year_number is not None else "")


def say_time(hour: int, minute: int, second: int = 0, half: str = "") -> str:
    """7, 5, half="a" -> seven oh five a.m.; 14, 30 -> fourteen thirty; 9, 0 -> nine o'clock."""
    if minute:
        words = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half:
        words = cardinal(hour)
    elif hour % 24 == 0:
        words = "midnight"
    else:
        words = f"{cardinal(hour)} hundred" if hour > 12 else f"{cardinal(hour)} o'clock"
    if second:
        words += f" and {cardinal(second)} second{'s' if second > 1 else ''}"
    return f"{words} {half.lower()}.m." if half else words


def _is_date(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def _iso(found: re.Match[str]) -> str:
    year_number, month, day = int(found[1]), int(found[3]), int(found[4])
    if not _is_date(month, day):
        return found[0]
    return say_date(month, day, year_number) + (", " if found[0].endswith("T") else "")


def _figures(found: re.Match[str]) -> str:
    month, day = int(found[1]), int(found[3])
    if month > 12 or found[2] == ".":
        month, day = day, month
    if not _is_date(month, day) or (len(found[4]) == 2 and found[2] != "/"):
        return found[0]
    short = int(found[4])
    return say_date(month, day, short if len(found[4]) == 4 else short + (2000 if short < 70 else 1900))


def _day_year(found: re.Match[str]) -> str:
    month, day, last, year_text = found.groups()
    if not 1 <= int(day) <= 31 or (last and not 1 <= int(last) <= 31):
        return found[0]
    said = f"{_month(month)} {ordinal(int(day))}"
    said += f" to {ordinal(int(last))}" if last else ""
    return f"{said}, {year(int(year_text))}" if year_text else said


def _day_month(found: re.Match[str]) -> str:
    _, day, month, year_text = found.groups()
    if not 1 <= int(day) <= 31:
        return found[0]
    the = "The" if found[0].startswith("T") else "the"
    said = f"{the} {ordinal(int(day))} of {_month(month)}"
    return f"{said}, {year(int(year_text))}" if year_text else said


def _month(name: str) -> str:
    return _MONTH_OF[name[:3].lower()]


def _weekday(name: str) -> str:
    return _DAY_OF[name[:3].lower()]


def _clock(found: re.Match[str]) -> str:
    hour, minute, second, half, lone_hour, lone_minute, lone_half = found.groups()
    if hour is None:
        hour, minute, half = lone_hour, lone_minute, lone_half
    if int(hour) > 24 or (half and int(hour) > 12):
        return found[0]
    return say_time(int(hour), int(minute or 0), int(second or 0), half or "")


_DATES: tuple[Rule, ...] = (
    (_DECADE, lambda found: decade(int(found[1]))),
    (_WEEKDAY_RANGE, lambda found: f"{_weekday(found[1])} to {_weekday(found[2])}"),
    (_MONTH_RANGE, lambda found: f"{_month(found[1])} to {_month(found[2])}"),
    (_WEEKDAY, lambda found: _weekday(found[1])),
    (_ISO, _iso),
    (_FIGURES, _figures),
    (_DAY_MONTH, _day_month),
    (_DAY_YEAR, _day_year),
    (_MONTH_YEAR, lambda found: f"{_month(found[1])} {year(int(found[2]))}"),
    (_CLOCK_RANGE, lambda found: f"{found[1]} to {found[3]}"),
    (_CLOCK, _clock),
)
_YEARS_ALONE: tuple[Rule, ...] = (
    (_YEARS, lambda found: f"{year(int(found[1]))} to {year(int(found[2]))}"),
    (_EARLY_YEAR, lambda found: f"{found[1]} {year(int(found[2]))}"),
    (_BRACKETED_YEAR, lambda found: year(int(found[0]))),
    (_LONE_YEAR, lambda found: found[0][: -len(found[2])] + year(int(found[2]))),
)
