"""What remains of Markdown, emoji and typographic characters when a text is read out."""

from __future__ import annotations

import re

_BLANKS = dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000\t\v\f"), " ")
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe0e\ufe0f\u20e3"))
_FULL_WIDTH = {wide: wide - 0xFEE0 for wide in map(ord, "＃％＆＋＠＄＝＊／－")}
_PLAIN = str.maketrans(
    {"\r": "\n", "\u2028": "\n", "\u2029": "\n", "\u2212": "-", "\u2010": "-", "\u2011": "-", "＾": "^", "～": "~"}
    | {wide: chr(narrow) for wide, narrow in _FULL_WIDTH.items()}
    | {chr(0x2460 + number): f"{number + 1} " for number in range(20)}
    | _BLANKS
    | _UNSEEN
)
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&nbsp;": " ", "&#39;": "'", "&apos;": "'"}
_ENTITY = re.compile("|".join(_ENTITIES))
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2300-\u23ff\u2460-\u24ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff\U000e0000-\U000e007f™®©]+"
)
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,300}>|<!--.{0,300}?-->")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]{1,300}|[^<>\s@]{1,64}@[^<>\s@]{1,100})>")
_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,500})\](?:\([^()\n]{0,500}(?:\([^()\n]{0,100}\)[^()\n]{0,100})?\)|\[[^\[\]\n]{0,100}\])"
)
_FOOTNOTE = re.compile(r"\[\^[^\[\]\n]{1,40}\]:?")
_FENCE = re.compile(r" *(`{3,}+|~{3,}+)[^`\n]*+(?:\n|\Z)")
_HEADING = re.compile(r" {0,3}#{1,6} +")
_HEADING_TAIL = re.compile(r"(?<! ) +#+ *\Z")
_QUOTE = re.compile(r"(?: {0,3}> ?)+")
_BULLET = re.compile(r" *[-*+•‣◦·] +(?:\[[ xX]\] +)?")
_NUMBERED = re.compile(r" *(\d{1,3})[.)、](?: +(?=\S)|(?=[^\W\d]))")
_STRONG = re.compile(r"(?<![\d*])\*{2,}|\*{2,}(?![\d*])|~~|(?<!\w)__+|__+(?!\w)|`+")
_EMPHASIS = re.compile(r"(?<![\w*)])\*(?=\S)|(?<=\S)\*(?![\w*(])|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)|(?<=[^\s\w])_(?!\w)")
_ENDED = re.compile(r"""[.!?…:;,。！？：；，、—-][)\]}"'”’）】」』》]*\Z""")


def lines_to_say(text: str) -> list[str]:
    """The lines of Markdown as plain text: no code blocks, rules, blank lines, markers, tags or emoji.

    Every digit is one of ASCII.
    """
    text = _FOREIGN_DIGIT.sub(lambda digit: str(int(digit[0])), text.translate(_PLAIN))
    text = _ENTITY.sub(lambda entity: _ENTITIES[entity[0]], text)
    lines = (_plain_line(line) for line in _without_code(text).split("\n"))
    return [line for line in lines if line]


def is_ended(line: str) -> bool:
    """Whether the voice pauses at the end of the line anyway."""
    return _ENDED.search(line[-20:]) is not None


def _without_code(text: str) -> str:
    """What stands outside fenced code blocks; one that is never closed goes on to the end."""
    kept, fence = [], ""
    for line in text.split("\n"):
        marker = _FENCE.match(line)
        if fence:
            if marker and marker[1].startswith(fence) and marker.end() == len(line):
                fence = ""
        elif marker:
            fence = marker[1]
        else:
            kept.append(line)
    return "\n".join(kept)


def _plain_line(line: str) -> str:
    """One line without its markers; empty where nothing is to be said."""
    bare = line.replace(" ", "")
    if (bare and not bare.strip("|:-+=")) or (len(bare) >= 3 and bare[0] in "*_" and not bare.strip(bare[0])):
        return ""
    line = _QUOTE.sub("", line, count=1) if _QUOTE.match(line) else line
    if heading := _HEADING.match(line):
        line = _HEADING_TAIL.sub("", line[heading.end() :].rstrip())
    elif bullet := _BULLET.match(line):
        line = line[bullet.end() :]
    line = _NUMBERED.sub(r"\1, ", line, count=1) if _NUMBERED.match(line) else line
    line = _AUTOLINK.sub(r"\1", _FOOTNOTE.sub("", _LINK.sub(r"\1", line)))
    line = _EMOJI.sub(" ", _TAG.sub(" ", line))
    if line.lstrip().startswith("|") or line.count("|") >= 2:
        line = ", ".join(cell.strip() for cell in line.split("|") if cell.strip())
    return " ".join(_EMPHASIS.sub("", _STRONG.sub("", line)).split())
