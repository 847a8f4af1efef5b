"""Money and measures in English."""

from __future__ import annotations

import re

from edged.pipeline.spoken.english_numbers import cardinal, fraction, is_one, mixed, spoken_number
from edged.pipeline.spoken.rules import DASH, NUMBER, SCALES, START, Rule, rewrite, words_pattern

CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "元": ("yuan", "yuan", "", ""),
}
"""One, several, a hundredth, several of those."""
_CURRENCY_NAMES = {
    "US$": "$", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "元", "RMB": "元", "INR": "₹",
    "￥": "¥", "块": "元",
} | {sign: sign for sign in CURRENCIES}  # fmt: skip
_SCALES = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion", "bn": "billion", "T": "trillion"}

UNITS = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "µm": "micrometer", "μm": "micrometer",
    "nm": "nanometer", "mi": "mile", "yd": "yard", "yds": "yard", "ft": "foot|feet", "in.": "inch|inches",
    "kg": "kilogram", "g": "gram", "mg": "milligram", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "l": "liter", "L": "liter", "ml": "milliliter", "mL": "milliliter", "cl": "centiliter", "dl": "deciliter",
    "tbsp": "tablespoon", "tbsps": "tablespoon", "tsp": "teaspoon", "tsps": "teaspoon",
    "km/h": "kilometer per hour|kilometers per hour", "kph": "kilometer per hour|kilometers per hour",
    "mph": "mile per hour|miles per hour", "m/s": "meter per second|meters per second",
    "m/s²": "meter per second squared|meters per second squared",
    "mpg": "mile per gallon|miles per gallon", "rpm": "revolution per minute|revolutions per minute",
    "km²": "square kilometer", "m²": "square meter", "cm²": "square centimeter", "sq ft": "square foot|square feet",
    "m³": "cubic meter", "cm³": "cubic centimeter", "ha": "hectare",
    "kg/m³": "kilogram per cubic meter|kilograms per cubic meter",
    "°C": "degree Celsius|degrees Celsius", "℃": "degree Celsius|degrees Celsius",
    "° C": "degree Celsius|degrees Celsius",
    "°F": "degree Fahrenheit|degrees Fahrenheit", "℉": "degree Fahrenheit|degrees Fahrenheit",
    "° F": "degree Fahrenheit|degrees Fahrenheit", "°": "degree",
    "%": "percent|percent", "‰": "per mille|per mille",
    "KB": "kilobyte", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "PB": "petabyte",
    "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte", "TiB": "tebibyte",
    "kbps": "kilobit per second|kilobits per second", "Mbps": "megabit per second|megabits per second",
    "Gbps": "gigabit per second|gigabits per second", "MB/s": "megabyte per second|megabytes per second",
    "GB/s": "gigabyte per second|gigabytes per second", "fps": "frame per second|frames per second",
    "Hz": "hertz|hertz", "kHz": "kilohertz|kilohertz", "MHz": "megahertz|megahertz", "GHz": "gigahertz|gigahertz",
    "W": "watt", "kW": "kilowatt", "MW": "megawatt", "kWh": "kilowatt hour", "V": "volt", "mV": "millivolt",
    "mA": "milliamp", "mAh": "milliamp hour", "kJ": "kilojoule", "kcal": "kilocalorie", "cal": "calorie",
    "hPa": "hectopascal", "kPa": "kilopascal", "psi": "P S I|P S I", "dB": "decibel", "px": "pixel",
    "ms": "millisecond", "s": "second", "sec": "second", "secs": "second", "min": "minute", "mins": "minute",
    "h": "hour", "hr": "hour", "hrs": "hour", "wk": "week", "yr": "year", "yrs": "year",
}  # fmt: skip
"""What one is called, and after a bar several where that is not the same with an s."""
PER = {
    "month": "month", "mo": "month", "year": "year", "yr": "year", "week": "week", "day": "day", "hour": "hour",
    "h": "hour", "hr": "hour", "min": "minute", "minute": "minute", "second": "second", "s": "second",
    "kg": "kilogram", "lb": "pound", "person": "person", "night": "night", "km": "kilometer", "mile": "mile",
    "liter": "liter",
}  # fmt: skip
"""What may follow a stroke."""

_PER = rf"(?: ?/ ?({words_pattern(PER)})(?![A-Za-z]))?"
_SIGN = r"(?:(?<![\w)\]])(-))?"
_MONEY_UNIT = words_pattern(_CURRENCY_NAMES)
_AMOUNT = rf"({NUMBER})(?:{DASH}(?:{_MONEY_UNIT})?({NUMBER}))?"
_LARGE = rf"(?:[ -]?({SCALES}))?"
_MONEY_FIRST = re.compile(rf"{_SIGN}(?<![A-Za-z])({_MONEY_UNIT}) ?{_AMOUNT}{_LARGE}(?![A-Za-z]){_PER}")
_MONEY_LAST = re.compile(rf"{START}{_SIGN}{_AMOUNT}{_LARGE} ?({_MONEY_UNIT})(?![A-Za-z0-9]){_PER}")
_FEET_INCHES = re.compile(rf"{START}(\d{{1,2}}) ?['′’] ?(\d{{1,2}}) ?(?:\"|″|”|'')")
_BY_MEASURE = re.compile(
    rf"{START}({NUMBER}) ?[x×] ?(?=\d++(?:\.\d++)?+ ?(?:[x×] ?\d|(?:{words_pattern(UNITS)})(?![A-Za-z])))"
)
_PART = re.compile(rf"{START}(?:(\d{{1,9}}) )?(\d{{1,2}})/(\d{{1,2}})[ -]?({words_pattern(UNITS)})(?![A-Za-z0-9²³])")
_MEASURE = re.compile(
    rf"{START}{_SIGN}({NUMBER})(?:(?:{DASH}| to )(-?{NUMBER}))?{_LARGE}"
    rf"( ?|-)({words_pattern(UNITS)})(?![A-Za-z0-9²³]){_PER}"
)


def say_money(text: str) -> str:
    """The text with its sums of money in words."""
    return rewrite(text, _MONEY)


def say_measures(text: str) -> str:
    """The text with its numbers that have a unit in words."""
    return rewrite(text, _MEASURES)


def _money(sign: str | None, currency: str, amount: str, upper: str | None, scale: str | None) -> str:
    one, several, cent, cents = CURRENCIES[_CURRENCY_NAMES[currency]]
    minus = "minus " if sign else ""
    if scale:
        said = f"{minus}{_number(amount, upper)} {_SCALES.get(scale, scale)} {several}"
    elif upper or not re.fullmatch(r"[\d,]+\.\d\d", amount) or not cent:
        said = f"{minus}{_number(amount, upper)} {one if is_one(amount) and not upper else several}"
    else:
        whole, _, part = amount.partition(".")
        said_whole = f"{spoken_number(whole)} {one if is_one(whole) else several}"
        said_part = f"{cardinal(int(part))} {cent if int(part) == 1 else cents}"
        if int(part) == 0:
            said = minus + said_whole
        elif not whole.strip("0"):
            said = minus + said_part
        else:
            said = f"{minus}{said_whole} and {said_part}"
    return said


def _number(amount: str, upper: str | None) -> str:
    return f"{spoken_number(amount)} to {spoken_number(upper)}" if upper else spoken_number(amount)


def _part(found: re.Match[str]) -> str:
    whole, numerator, denominator = int(found[1] or 0), int(found[2]), int(found[3])
    one, _, several = UNITS[found[4]].partition("|")
    if whole:
        return f"{mixed(whole, numerator, denominator)} {several or one + 's'}"
    return f"{fraction(numerator, denominator)} {one}"


def _per(unit: str | None) -> str:
    return f" per {PER[unit]}" if unit else ""


def _measure(sign: str | None, number: str, upper: str | None, scale: str | None, joint: str, unit: str) -> str:
    one, _, several = UNITS[unit].partition("|")
    single = is_one(number) and not upper and not scale
    name = one if single or joint == "-" else several or one + "s"
    said = ("minus " if sign else "") + spoken_number(number)
    if upper:
        said += f" to {'minus ' if upper.startswith('-') else ''}{spoken_number(upper.lstrip('-'))}"
    return f"{said} {_SCALES.get(scale, scale)} {name}" if scale else f"{said} {name}"


_MONEY: tuple[Rule, ...] = (
    (_MONEY_FIRST, lambda found: _money(found[1], found[2], found[3], found[4], found[5]) + _per(found[6])),
    (_MONEY_LAST, lambda found: _money(found[1], found[5], found[2], found[3], found[4]) + _per(found[6])),
)
_MEASURES: tuple[Rule, ...] = (
    (_FEET_INCHES, lambda found: f"{found[1]} {'foot' if is_one(found[1]) else 'feet'} {cardinal(int(found[2]))}"),
    (_BY_MEASURE, lambda found: f"{spoken_number(found[1])} by "),
    (_PART, _part),
    (_MEASURE, lambda found: _measure(*found.groups()[:-1]) + _per(found[7])),
)
