"""English: abbreviations, telephone numbers, fractions, plain numbers and symbols, and the order of it all."""

from __future__ import annotations

import re

from edged.pipeline.spoken.addresses import ENGLISH, say_addresses
from edged.pipeline.spoken.english_dates import say_dates, say_years
from edged.pipeline.spoken.english_numbers import digits, fraction, mixed, ordinal, spoken_number
from edged.pipeline.spoken.english_units import say_measures, say_money
from edged.pipeline.spoken.rules import NUMBER, START, Rule, rewrite, rule, words_pattern

ABBREVIATIONS = {
    "Dr.": "Doctor", "Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Miz", "Prof.": "Professor", "Gen.": "General",
    "Sen.": "Senator", "Rep.": "Representative", "Gov.": "Governor", "Lt.": "Lieutenant", "Col.": "Colonel",
    "Sgt.": "Sergeant", "Capt.": "Captain", "Rev.": "Reverend", "Hon.": "Honorable", "Jr.": "Junior", "Sr.": "Senior",
    "e.g.": "for example", "E.g.": "For example", "i.e.": "that is", "I.e.": "That is", "vs.": "versus", "vs": "versus",
    "approx.": "approximately", "Approx.": "Approximately", "ca.": "about", "cf.": "compare", "et al.": "and others",
    "a.k.a.": "also known as", "aka": "also known as", "w/": "with ", "w/o": "without", "dept.": "department",
    "Dept.": "Department", "Mt.": "Mount", "Ave.": "Avenue", "Blvd.": "Boulevard", "Inc.": "Incorporated",
    "Ltd.": "Limited", "Corp.": "Corporation", "est.": "established", "incl.": "including", "misc.": "miscellaneous",
}  # fmt: skip
BEFORE_NUMBERS = {
    "No.": "number", "no.": "number", "Nos.": "numbers", "nos.": "numbers", "№": "number", "Fig.": "figure",
    "fig.": "figure", "Figs.": "figures", "figs.": "figures", "p.": "page", "pp.": "pages", "vol.": "volume",
    "Vol.": "volume", "ch.": "chapter", "Ch.": "chapter", "Sec.": "section", "sec.": "section", "Eq.": "equation",
    "eq.": "equation", "#": "number", "~": "about", "≈": "about", "v": "version",
}  # fmt: skip
SYMBOLS = {
    "&": "and", "+": "plus", "=": "equals", "@": "at", "%": "percent", "×": "times", "÷": "divided by",
    "±": "plus or minus",
    "<": "less than", ">": "greater than", "≤": "at most", "≥": "at least", "<=": "at most", ">=": "at least",
    "≠": "is not equal to", "!=": "is not equal to", "==": "equals", "≈": "is about", "→": "to", "->": "to", "=>": "to",
    "⇒": "to", "√": "the square root of", "π": "pi", "∞": "infinity", "°": "degrees", "€": "euros", "£": "pounds",
    "§": "section", "²": "squared", "³": "cubed", "∑": "sum", "∆": "delta",
}  # fmt: skip
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
_SCALES = {"k": "thousand", "M": "million", "bn": "billion"}
_EXTENSIONS = "py|js|ts|md|txt|json|toml|yaml|yml|csv|pdf|png|jpg|html|css|sh|rs|go|exe|zip|net|mp|xml|docx|xlsx"


def say_english(text: str) -> str:
    """One line of plain text as it is said in English. Punctuation stays where the voice can use it."""
    text = say_addresses(text, ENGLISH)
    text = say_dates(rewrite(text, _NAMES))
    text = rewrite(text, _CODES)
    text = say_measures(say_money(text))
    return rewrite(rewrite(say_years(text), _NUMBERS), _SYMBOLS)


def _etc(found: re.Match[str]) -> str:
    return "et cetera." if found[1] is None else "et cetera"


def _groups_of_digits(text: str) -> str:
    words = ", ".join(digits(group) for group in re.split(r"[ ().-]+", text.lstrip("+(")) if group)
    return f"plus {words}" if text.startswith("+") else words


def _power(found: re.Match[str]) -> str:
    minus = "minus " if found[1] else ""
    if not minus and found[2] in ("2", "3"):
        return " squared" if found[2] == "2" else " cubed"
    return f" to the power of {minus}{spoken_number(found[2])}"


def _fraction(found: re.Match[str]) -> str:
    if found[0] in ("24/7", "9/11", "20/20", "50/50"):
        return f"{spoken_number(found[1])} {spoken_number(found[2])}"
    return fraction(int(found[1]), int(found[2]))


def _ordinal(found: re.Match[str]) -> str:
    number = found[1].replace(",", "")
    return ordinal(int(number)) if len(number) <= 15 else found[1]


def _dotted(found: re.Match[str]) -> str:
    groups = found[0].split(".")
    joint = " dot " if len(groups) == 4 else " point "
    return joint.join(digits(group) if len(groups) == 4 else spoken_number(group) for group in groups)


_NAMES: tuple[Rule, ...] = (
    rule(r"(?<![A-Za-z])etc\.(?=(\s*[,;)a-z])?)", _etc),
    rule(r"(?<![A-Za-z])St\.(?= [A-Z])", "Saint"),
    rule(r"(?<=[a-z] )St\.(?![A-Za-z])", "Street"),
    rule(
        rf"(?<![A-Za-z])(?:{words_pattern(BEFORE_NUMBERS)}) ?(?=\d)",
        lambda found: f"{BEFORE_NUMBERS[found[0].strip()]} ",
    ),
    rule(
        rf"(?<![A-Za-z.])(?:{words_pattern(ABBREVIATIONS)})(?![A-Za-z])",
        lambda found: ABBREVIATIONS[found[0]],
    ),
    rule(r"(?<![A-Za-z])([CF])#(?!\w)", r"\1 sharp"),
    rule(r"(?<=C)\+\+", " plus plus"),
    rule(r"(?<![\w#])#(?=[A-Za-z])", "hashtag "),
    rule(rf"(?<=[A-Za-z0-9_])\.(?=(?:{_EXTENSIONS})(?![A-Za-z]))", " dot "),
    rule("|".join(_FRACTIONS), lambda found: f" {_FRACTIONS[found[0]]}"),
)
_CODES: tuple[Rule, ...] = (
    rule(r"(?<![\w.+])\+\d[\d ().-]{6,20}(?<=\d)(?!\w)", lambda found: _groups_of_digits(found[0])),
    rule(
        r"(?<![\w.-])(?:1[ -])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])",
        lambda found: _groups_of_digits(found[0]),
    ),
    rule(
        r"(?i:(?<![A-Za-z])(?:call|dial|text|phone|number|code|pin|extension|room|flight)(?: me| us)?:? (?:is |at )?)"
        r"(\d{3}-\d{4}|\d{3,6})(?![\w%°]|[,.:-]\d)",
        lambda found: found[0][: -len(found[1])] + _groups_of_digits(found[1]),
    ),
    rule(r"(?<![\w.,/-])\d{1,4}(?:\.\d{1,4}){2,5}(?![\w])", _dotted),
)
_NUMBERS: tuple[Rule, ...] = (
    rule(r"(?:(?<=[\w)])\^|(?<=\d)\*\*)(-)?(\d{1,15})(?!\d)", _power),
    rule(rf"{START}(\d{{1,15}}) (\d{{1,2}})/(\d{{1,2}})(?![\w/])", lambda found: mixed(*map(int, found.groups()))),
    rule(rf"{START}(\d{{1,4}})[/⁄](\d{{1,4}})(?![\w/])", _fraction),
    rule(rf"{START}(\d{{1,3}}(?:,\d{{3}})+|\d{{1,15}})(?i:st|nd|rd|th)(?![A-Za-z])", _ordinal),
    rule(
        rf"{START}({NUMBER})(?: ?[–—~] ?|-)({NUMBER})(?![\w-])",
        lambda found: f"{spoken_number(found[1])} to {spoken_number(found[2])}",
    ),
    rule(
        rf"{START}(\d{{1,9}}):(\d{{1,9}})(?![\w:])",
        lambda found: f"{spoken_number(found[1])} to {spoken_number(found[2])}",
    ),
    rule(r"(?<=\d)\*(?=\d)|(?<=\w) \* (?=\w)", " times "),
    rule(r"(?<=\d) ?x ?(?=\d)", " by "),
    rule(r"(?<=\d)x(?= (?:as|more|faster|slower|better|larger|bigger|smaller|the)\b)", " times"),
    rule(r"(?<=\d)(?:k|M|bn)(?![A-Za-z])", lambda found: f" {_SCALES[found[0]]}"),
    rule(r"(?<=\d) - (?=\d)", " minus "),
    rule(r"(?<![\w.)-])-(?=\.?\d)", "minus "),
    rule(r"(?<=[\d)]) / (?=[\d(])", " divided by "),
    rule(r"(?<=[A-Za-z])-?(?=\d)|(?<=\d)(?=[A-Za-z])", " "),
    rule(r"(?<!\d)\.\d++", lambda found: f" {spoken_number(found[0])}"),
    rule(NUMBER, lambda found: spoken_number(found[0])),
)
_SYMBOLS: tuple[Rule, ...] = (
    rule(r"(?<![A-Za-z])and/or(?![A-Za-z])", "and or"),
    rule(r"(?<![\w/])([A-Za-z][a-z]{0,30})/([a-z]{1,30})(?![\w/])", r"\1 or \2"),
    rule(r" (?:-|–|--) | ?(?:—|--) ?", ", "),
    rule(words_pattern(SYMBOLS), lambda found: f" {SYMBOLS[found[0]]} "),
)
