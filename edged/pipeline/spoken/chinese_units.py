"""Money and measures in Chinese. Units that are written in Chinese need no rule but for their numbers."""

from __future__ import annotations

import re

from edged.pipeline.spoken.chinese_numbers import spoken_number
from edged.pipeline.spoken.rules import NUMBER, START, Rule, rewrite, words_pattern

CURRENCIES = {
    "$": "美元", "US$": "美元", "USD": "美元", "€": "欧元", "EUR": "欧元", "£": "英镑",
    "GBP": "英镑", "¥": "元", "￥": "元", "CNY": "元", "RMB": "元", "JPY": "日元", "HK$": "港元",
}  # fmt: skip
UNITS = {
    "km": "公里", "m": "米", "cm": "厘米", "mm": "毫米", "nm": "纳米",
    "µm": "微米", "μm": "微米", "mi": "英里", "ft": "英尺", "kg": "公斤", "g": "克", "mg": "毫克", "lb": "磅",
    "lbs": "磅", "oz": "盎司",
    "t": "吨", "l": "升", "L": "升", "ml": "毫升", "mL": "毫升",
    "km²": "平方公里", "m²": "平方米", "cm²": "平方厘米", "m³": "立方米", "cm³": "立方厘米",
    "°C": "摄氏度", "℃": "摄氏度", "° C": "摄氏度", "°F": "华氏度", "℉": "华氏度", "°": "度",
    "Hz": "赫兹", "kHz": "千赫", "MHz": "兆赫", "GHz": "吉赫", "W": "瓦", "kW": "千瓦", "MW": "兆瓦", "kWh": "千瓦时",
    "V": "伏", "mA": "毫安", "mAh": "毫安时", "kJ": "千焦",
    "kcal": "千卡", "cal": "卡", "hPa": "百帕", "kPa": "千帕", "dB": "分贝", "px": "像素", "ms": "毫秒",
    "s": "秒", "sec": "秒", "min": "分钟", "h": "小时", "hr": "小时",
    "KB": "KB", "kB": "KB", "MB": "MB", "GB": "GB", "TB": "TB", "Mbps": "兆比特每秒", "MB/s": "MB每秒",
}  # fmt: skip
SPEEDS = {"km/h": ("小时", "公里"), "kph": ("小时", "公里"), "m/s": ("秒", "米"), "mph": ("小时", "英里")}
"""Per what, and what: 60 km/h -> 每小时六十公里."""
PER = {
    "月": "月",
    "年": "年",
    "天": "天",
    "小时": "小时",
    "人": "人",
    "h": "小时",
    "kg": "公斤",
    "month": "月",
    "公斤": "公斤",
    "斤": "斤",
}
SCALES = {
    "万": "万",
    "亿": "亿",
    "千": "千",
    "k": "千",
    "K": "千",
    "million": "百万",
    "billion": "十亿",
    "M": "百万",
    "B": "十亿",
}
_PERCENT = {"%": "百分之", "‰": "千分之"}

_SIGN = r"(?:(?<![A-Za-z0-9_)\]])(-))?"
_RANGE = rf"({NUMBER})(?: ?[-–—~至到] ?(-?{NUMBER}))?"
_SCALE = rf"(?: ?({words_pattern(SCALES)})(?![A-Za-z]))?"
_PER = rf"(?: ?/ ?({words_pattern(PER)})(?![A-Za-z]))?"
_MONEY_FIRST = re.compile(
    rf"{_SIGN}(?<![A-Za-z])({words_pattern(CURRENCIES)}) ?({NUMBER})"
    rf"(?: ?[-–—~] ?(?:{words_pattern(CURRENCIES)})?({NUMBER}))?{_SCALE}{_PER}"
)
_MONEY_LAST = re.compile(rf"{START}{_SIGN}{_RANGE}{_SCALE} ?({words_pattern(CURRENCIES)})(?![A-Za-z0-9]){_PER}")
_PERCENTAGE = re.compile(rf"{START}{_SIGN}(?:({NUMBER}) ?([%‰]?) ?[-–—~至到] ?)?({NUMBER}) ?([%‰])")
_SPEED = re.compile(rf"{START}{_RANGE} ?({words_pattern(SPEEDS)})(?![A-Za-z0-9²])")
_TEMPERATURE = re.compile(rf"{START}(?<![A-Za-z0-9_)\]])-({NUMBER}) ?(°C|℃|° C|°|摄氏度)")
_MEASURE = re.compile(rf"{START}{_SIGN}{_RANGE}{_SCALE}[ -]?({words_pattern(UNITS)})(?![A-Za-z0-9²³]){_PER}")


def say_money(text: str) -> str:
    """The text with its sums of money in words."""
    return rewrite(text, _MONEY)


def say_measures(text: str) -> str:
    """The text with its numbers that have a unit in words."""
    return rewrite(text, _MEASURES)


def _number(number: str, upper: str | None, *, before_counted: bool = True) -> str:
    if not upper:
        return spoken_number(number, before_counted=before_counted)
    minus = "负" if upper.startswith("-") else ""
    return f"{spoken_number(number)}到{minus}{spoken_number(upper.lstrip('-'), before_counted=before_counted)}"


def _money(sign: str | None, currency: str, amount: str, upper: str | None, scale: str | None, per: str | None) -> str:
    whole, _, part = amount.partition(".")
    if part and not part.strip("0"):
        amount = whole
    elif part:
        amount = f"{whole}.{part.rstrip('0')}"
    words = _number(amount, upper) + SCALES.get(scale or "", "") + CURRENCIES[currency]
    return ("负" if sign else "") + words + (f"每{PER[per]}" if per else "")


def _percentage(found: re.Match[str]) -> str:
    sign, lower, lower_mark, number, mark = found.groups()
    minus, of = "负" if sign else "", _PERCENT[mark]
    if not lower:
        return f"{minus}{of}{spoken_number(number)}"
    return f"{minus}{of}{spoken_number(lower)}到{of if lower_mark else ''}{spoken_number(number)}"


def _measure(found: re.Match[str]) -> str:
    sign, number, upper, scale, unit, per = found.groups()
    words = _number(number, upper, before_counted=unit not in ("°C", "℃", "°F", "℉", "° C")) + SCALES.get(
        scale or "", ""
    )
    return ("负" if sign else "") + words + UNITS[unit] + (f"每{PER[per]}" if per else "")


_MONEY: tuple[Rule, ...] = (
    (_MONEY_FIRST, lambda found: _money(found[1], found[2], found[3], found[4], found[5], found[6])),
    (_MONEY_LAST, lambda found: _money(found[1], found[5], found[2], found[3], found[4], found[6])),
)
_MEASURES: tuple[Rule, ...] = (
    (_PERCENTAGE, _percentage),
    (_SPEED, lambda found: f"每{SPEEDS[found[3]][0]}{_number(found[1], found[2])}{SPEEDS[found[3]][1]}"),
    (_TEMPERATURE, lambda found: f"零下{spoken_number(found[1])}{UNITS.get(found[2], found[2])}"),
    (_MEASURE, _measure),
)
