"""Chinese: dates, times, money, measures, plain numbers and symbols, and the order of it all."""

from __future__ import annotations

import re

from edged.pipeline.spoken.addresses import CHINESE, say_addresses
from edged.pipeline.spoken.chinese_numbers import TELEPHONE_DIGITS, cardinal, counted, digits, spoken_number
from edged.pipeline.spoken.chinese_units import say_measures, say_money
from edged.pipeline.spoken.rules import NUMBER, START, Rule, rewrite, rule, words_pattern

ABBREVIATIONS = {
    "e.g.": "例如", "i.e.": "也就是", "etc.": "等等", "vs.": "对", "vs": "对",
    "Dr.": "Doctor", "Mr.": "Mister", "Mrs.": "Missus", "No.": "第",
}  # fmt: skip
SYMBOLS = {
    "&": "和", "+": "加", "=": "等于", "@": "艾特", "%": "百分号",
    "×": "乘以", "÷": "除以", "±": "正负",
    "<": "小于", ">": "大于", "≤": "小于等于", "≥": "大于等于", "<=": "小于等于", ">=": "大于等于",
    "≠": "不等于", "!=": "不等于",
    "≈": "约等于",
    "→": "到", "->": "到", "√": "根号", "π": "派", "∞": "无穷大", "°": "度", "€": "欧元", "£": "英镑",
    "²": "平方", "³": "立方",
}  # fmt: skip
COUNTED = (
    "个|位|名|只|条|本|张|件|次|天|年|小时|分钟|秒|点|公里|千米|米|公斤|千克|升|块|周|星期|岁|倍|种|辆|台|杯|碗|瓶|斤|家|部|层|"
    "份|道|句|段|步|项|勺|滴|片|颗|棵|场|支|套|双|对|间|座|人|元|万|千|亿|英里|厘米|毫米|克|毫升|平方|立方|吨|度"
)
"""What a 2 in front of it is 两 for."""
_FRACTIONS = {
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
    "⅛": "1/8",
    "⅜": "3/8",
    "⅝": "5/8",
    "⅞": "7/8",
}
_HALVES = {"a": "上午", "p": "下午"}


def say_chinese(text: str) -> str:
    """One line of plain text as it is said in Chinese; Latin words stay as they are."""
    text = rewrite(say_addresses(text, CHINESE), _NAMES)
    text = rewrite(text, _DATES)
    text = say_measures(say_money(rewrite(text, _CODES)))
    return rewrite(rewrite(text, _NUMBERS), _SYMBOLS)


def _date(found: re.Match[str], year: str, month: str, day: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return found[0]
    return f"{digits(year)}年{cardinal(int(month))}月{cardinal(int(day))}日"


def _figures(found: re.Match[str]) -> str:
    month, day = found[1], found[2]
    return _date(found, found[3], *((day, month) if int(month) > 12 else (month, day)))


def say_time(hour: int, minute: int, second: int = 0) -> str:
    """14, 5 -> 十四点零五分; 2, 0 -> 两点."""
    words = f"{counted(hour)}点"
    if minute or second:
        words += f"{'零' if minute < 10 and minute else ''}{cardinal(minute)}分"
    return words + (f"{cardinal(second)}秒" if second else "")


def _clock(found: re.Match[str]) -> str:
    hour, minute, second, half = found.groups()
    if int(hour) > 24:
        return found[0]
    return (_HALVES[half.lower()] if half else "") + say_time(int(hour), int(minute), int(second or 0))


def _telephone(text: str) -> str:
    groups = [digits(group, TELEPHONE_DIGITS) for group in re.split(r"[ ().+-]+", text) if group]
    return ("加" if text.startswith("+") else "") + "，".join(groups)


def _dotted(found: re.Match[str]) -> str:
    groups = found[0].split(".")
    return "点".join(digits(group) if len(groups) == 4 else spoken_number(group) for group in groups)


def _fraction(found: re.Match[str]) -> str:
    if int(found[2]) == 0:
        return f"{cardinal(int(found[1]))}除以零"
    return f"{cardinal(int(found[2]))}分之{cardinal(int(found[1]))}"


def _power(found: re.Match[str]) -> str:
    return f"的{'负' if found[1] else ''}{spoken_number(found[2])}次方"


_HALF = r"(?: ?([aApP])(?:\.[mM]\.|[mM])(?![A-Za-z]))"
_NAMES: tuple[Rule, ...] = (
    rule(
        rf"(?<![A-Za-z.])(?:{words_pattern(ABBREVIATIONS)})(?![A-Za-z])",
        lambda found: ABBREVIATIONS[found[0]],
    ),
    rule(r"(?<=[A-Za-z0-9_])\.(?=[A-Za-z]{1,5}(?![A-Za-z]))", "点"),
    rule("|".join(_FRACTIONS), lambda found: _FRACTIONS[found[0]]),
)
_DATES: tuple[Rule, ...] = (
    rule(
        r"(?<![A-Za-z0-9_.-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?![\d-])(?:T(?=\d\d:))?",
        lambda found: _date(found, found[1], found[3], found[4]),
    ),
    rule(r"(?<![A-Za-z0-9_./-])(\d{1,2})/(\d{1,2})/(\d{4})(?![\d/])", _figures),
    rule(r"(?<!\d)(?<!\d[.,])([1-9]\d{3})(?=年)", lambda found: digits(found[1])),
    rule(
        r"(?<![\d.,])(1[1-9]\d\d|20\d\d) ?[-–—~至到] ?(?=[零一二三四五六七八九]{4}年)",
        lambda found: f"{digits(found[1])}到",
    ),
    rule(
        rf"(?<![A-Za-z0-9_.,/-])(1[1-9]\d\d|20\d\d) ?[-–—] ?(1[1-9]\d\d|20\d\d)"
        rf"(?![A-Za-z0-9/%°-]|[.,]\d| ?(?:{COUNTED}))",
        lambda found: f"{digits(found[1])}到{digits(found[2])}",
    ),
    rule(r"(?<!\d)(\d0)(?=年代)", lambda found: cardinal(int(found[1]))),
    rule(
        r"(?<![A-Za-z0-9_.:,/-])(\d{1,2}):([0-5]\d) ?[-–—~] ?(?=\d{1,2}:[0-5]\d(?!\d))",
        lambda found: f"{say_time(int(found[1]), int(found[2]))}到",
    ),
    rule(rf"(?<![A-Za-z0-9_.:,/-])(\d{{1,2}}):([0-5]\d)(?::([0-5]\d)(?:\.\d{{1,9}})?Z?)?(?![\d:]){_HALF}?", _clock),
    rule(
        rf"(?<![A-Za-z0-9_.:,/-])(\d{{1,2}}){_HALF}",
        lambda found: f"{_HALVES[found[2].lower()]}{counted(int(found[1]))}点",
    ),
)
_CODES: tuple[Rule, ...] = (
    rule(r"(?<![A-Za-z0-9_.+])\+\d[\d ().-]{6,20}(?<=\d)(?![A-Za-z0-9])", lambda found: _telephone(found[0])),
    rule(r"(?<![A-Za-z0-9_.,-])1[3-9]\d(?:[ -]?\d{4}){2}(?![A-Za-z0-9-])", lambda found: _telephone(found[0])),
    rule(r"(?<![A-Za-z0-9_.,-])(?:0\d{2,3}|[48]00)-\d{3,4}-?\d{4}(?![A-Za-z0-9-])", lambda found: _telephone(found[0])),
    rule(
        r"((?:拨打|拨|打|致电|呼叫|电话|热线|房间号|房间|密码|验证码|号码)"
        r"(?:是|为|：|:)? ?)(\d{3,12})(?![\d.,%元个次])",
        lambda found: found[1] + digits(found[2], TELEPHONE_DIGITS),
    ),
    rule(r"(?<![A-Za-z0-9_.,/-])\d{1,4}(?:\.\d{1,4}){2,5}(?![A-Za-z0-9])", _dotted),
)
_NUMBERS: tuple[Rule, ...] = (
    rule(r"(?<=\d) - (?=\d)", "减"),
    rule(r"(?:(?<=[A-Za-z0-9)])\^|(?<=\d)\*\*)(-)?(\d{1,15})(?!\d)", _power),
    rule(rf"{START}(\d{{1,15}}) ?又 ?(?=\d)", lambda found: f"{cardinal(int(found[1]))}又"),
    rule(rf"{START}(\d{{1,15}})[/⁄](\d{{1,15}})(?![\d/])", _fraction),
    rule(
        rf"{START}({NUMBER}) ?(?:[-–—~]|至) ?({NUMBER})(?![\d-])(?=({COUNTED})?)",
        lambda found: f"{spoken_number(found[1])}到{spoken_number(found[2], before_counted=bool(found[3]))}",
    ),
    rule(
        r"(?<![\d:])(\d{1,9}):(\d{1,9})(?![\d:])", lambda found: f"{cardinal(int(found[1]))}比{cardinal(int(found[2]))}"
    ),
    rule(r"(?<=\d) ?[*xX] ?(?=\d)", "乘"),
    rule(r"(?<![A-Za-z0-9_.)-])-(?=\.?\d)", "负"),
    rule(r"(?<=[A-Za-z])-(?=\d)", " "),
    rule(r"第 ?(\d{1,15})(?!\d)", lambda found: f"第{cardinal(int(found[1]))}"),
    rule(
        rf"({NUMBER}|\.\d++) ?(?=((?:{COUNTED})(?!代|级))?)",
        lambda found: spoken_number(found[1], before_counted=bool(found[2])),
    ),
)
_SYMBOLS: tuple[Rule, ...] = (
    rule(r"(?<=[\u4e00-\u9fff]) (?:-|–|--) (?=[\u4e00-\u9fff])", "，"),
    rule(r"(?<=[\u4e00-\u9fff])/(?=(?:小时|月|年|天|人|公斤|斤|次|分钟|秒))", "每"),
    rule(r"#(?=[A-Za-z\u4e00-\u9fff])", "井号"),
    rule(r"~(?=[零一二三四五六七八九十两])", "约"),
    rule(words_pattern(SYMBOLS), lambda found: SYMBOLS[found[0]]),
    rule(r"(?<=[\u4e00-\u9fff]),(?: |(?=[\u4e00-\u9fff]))", "，"),
    rule(r"(?<=[\u4e00-\u9fff]) +(?=[\u4e00-\u9fff])", ""),
)
