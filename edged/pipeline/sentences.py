"""Cuts an answer, while it is still being written, into pieces that can be spoken.

What decides a cut is the text up to it and a bounded look ahead, never how the text arrived: the same
answer gives the same pieces whether it comes in characters or at once.
"""

from __future__ import annotations

import re

MAX_WEIGHT = 200
"""A sentence longer than this is cut at a clause or a space. A wide character weighs two."""
MIN_CLAUSE_WEIGHT = 60
"""A long sentence is not cut at a clause before this."""
FIRST_WORDS = 4
FIRST_WIDE = 8
"""What the first piece must hold, in words or wide characters, to end at a clause."""
JOINT_WORDS = 6
"""What the first piece must hold to end before a word that joins clauses, where no comma does."""
LOOK_AHEAD = 100
"""At most so many dots, closing marks, spaces or letters are looked at behind a possible end."""

_WIDE = "\u2e80-\u2fff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WIDE_CHARACTER = re.compile(f"[{_WIDE}]")
_WIDE_ENDS = "。｡！？；"
_WIDE_CLAUSES = "，、："
_MARK = re.compile(rf"[.!?…{_WIDE_ENDS},;:{_WIDE_CLAUSES}—–\n-]")
_FIRST_MARK = re.compile(f"{_MARK.pattern}| ")
_JOINTS = frozenset(("and", "because", "but", "if", "or", "so", "that", "when", "where", "which", "while", "who"))
_END = re.compile(rf"[.!?…{_WIDE_ENDS}]{{1,{LOOK_AHEAD}}}")
_CLOSERS = re.compile(rf"""[)\]}}'"’”»*_~`）］】」』》〉]{{0,{LOOK_AHEAD}}}""")
_SPACES = re.compile(rf"[^\S\n]{{0,{LOOK_AHEAD}}}\n?")
_WORD = re.compile(rf"[^\W\d_](?:[^\W\d_]|['’]){{0,{LOOK_AHEAD}}}")
_OPENERS = "([{'\"“‘«*_`（「『《"
_FENCE = re.compile(rf"(`{{3,{LOOK_AHEAD}}}+|~{{3,{LOOK_AHEAD}}}+)[^`\n]{{0,{LOOK_AHEAD}}}\n")
_MAYBE_FENCE = re.compile(
    rf"(?:`{{1,2}}|~{{1,2}}|(?:`{{3,{LOOK_AHEAD}}}+|~{{3,{LOOK_AHEAD}}}+)[^`\n]{{0,{LOOK_AHEAD}}})\Z"
)
_LIST_NUMBER = re.compile(r"\s*(?:\d{1,3}|[A-Za-z])\Z")

_NEVER_LAST = frozenset((
    "dr", "mr", "mrs", "ms", "prof", "st", "mt", "gen", "sen", "rep", "gov", "lt", "col", "sgt", "capt", "rev",
    "hon", "messrs", "e.g", "i.e", "vs", "v", "cf", "approx", "ca", "viz",
))  # fmt: skip
"""Abbreviations that something follows."""
_BEFORE_NUMBERS = frozenset(("no", "nos", "p", "pp", "fig", "figs", "ch", "sec", "art", "vol", "eq", "vers"))
_MAY_BE_LAST = frozenset((
    "etc", "al", "inc", "ltd", "co", "corp", "jr", "sr", "a.m", "p.m", "ph.d", "b.c", "a.d", "dept", "est", "min",
    "max", "ave", "blvd", "rd", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
    "mon", "tue", "tues", "wed", "thu", "thur", "thurs", "fri", "sat", "sun",
))  # fmt: skip
"""Abbreviations that end a sentence where a capital follows."""
_STARTERS = frozenset((
    "a", "an", "and", "as", "at", "but", "by", "for", "he", "her", "his", "how", "i", "if", "in", "it", "it's",
    "its", "my", "no", "not", "on", "or", "our", "she", "so", "some", "that", "the", "their", "then", "there",
    "there's", "these", "they", "this", "those", "to", "we", "what", "when", "where", "which", "while", "who",
    "why", "with", "yes", "you", "your",
))  # fmt: skip
"""Behind an initial or an acronym, only such a word shows that a new sentence begins."""


class SentenceSplitter:
    """Holds the text that is not ready yet. All pieces together are the text."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._text = ""  # of the piece that is being collected
        self._scanned = 0  # no cut is possible before this place
        self._first = True
        self._quotes = 0  # straight double quotes since the last newline, in earlier pieces

    def push(self, delta: str) -> list[str]:
        """The pieces that are ready now. Each ends with a sentence, a line, a code block, or (the first) a clause."""
        self._text += delta
        return self._take(ended=False)

    def finish(self) -> list[str]:
        """The rest; begins anew afterwards. The last piece may be blank."""
        pieces = self._take(ended=True)
        if self._text:
            pieces.append(self._text)
        self._begin()
        return pieces

    def _take(self, *, ended: bool) -> list[str]:
        pieces = []
        while (end := self._next_end(ended)) is not None:
            piece, self._text = self._text[:end], self._text[end:]
            last_line = piece.rpartition("\n")[2]
            self._quotes = last_line.count('"') + (0 if "\n" in piece else self._quotes)
            self._scanned, self._first = 0, False
            pieces.append(piece)
        return pieces

    def _next_end(self, ended: bool) -> int | None:
        """Where the first piece of the text ends; None while that depends on what comes."""
        start = len(self._text) - len(self._text.lstrip())
        if start == len(self._text):
            return None
        if fence := _FENCE.match(self._text, start):
            return self._code_end(fence)
        if _MAYBE_FENCE.match(self._text, start) and not ended:
            return None
        limit = _limit(self._text, start)
        self._scanned = max(self._scanned, start)
        marks = _FIRST_MARK if self._first else _MARK
        while mark := marks.search(self._text, self._scanned, limit):
            try:
                end = self._end_at(mark.start(), ended)
            except _Undecided:
                self._scanned = mark.start()
                return None
            if end is not None:
                return end
            self._scanned = max(self._scanned, mark.start() + 1)
        self._scanned = max(self._scanned, min(limit, len(self._text)))
        return self._forced_end(start, limit) if limit < len(self._text) else None

    def _code_end(self, fence: re.Match[str]) -> int | None:
        """Behind the line that closes the code block."""
        self._scanned = max(self._scanned, fence.end())
        while (newline := self._text.find("\n", self._scanned)) >= 0:
            line = self._text[self._scanned : newline].strip()
            self._scanned = newline + 1
            if len(line) >= len(fence[1]) and not line.strip(fence[1][0]):
                return newline + 1
        return None

    def _end_at(self, place: int, ended: bool) -> int | None:
        """Where the piece ends because of the mark at `place`; None when it goes on. Raises _Undecided."""
        mark = self._text[place]
        if mark == "\n":
            return place + 1
        if mark == " ":
            return self._joint(place, ended)
        if _END.match(mark):
            return self._sentence_end(place, ended)
        if self._first:
            return self._clause_end(place, ended)
        return None

    def _sentence_end(self, place: int, ended: bool) -> int | None:
        run = self._look(_END, place, ended)
        closed = self._closers_end(run, ended)
        following = self._look(_SPACES, closed, ended)
        marks = self._text[place:run]
        self._scanned = run
        if following > closed and self._text[following - 1] == "\n":
            return following
        if following == len(self._text):
            return following
        if self._text.count("`", 0, closed) % 2:  # inside code
            return None
        after = self._text[following]
        if any(mark in _WIDE_ENDS for mark in marks):
            return following
        if following == closed:  # no space: 3.14, example.com; but "OK!好的"
            return (
                following
                if _WIDE_CHARACTER.match(after) and marks[-1] in "!?." and not self._is_number(place)
                else None
            )
        if after.islower() and (marks[-1] in ".…" or closed > run):
            return None
        if marks[-1] == "…" or (len(marks) > 1 and set(marks) == {"."}):
            return following if after.isupper() or after in _OPENERS else None
        if marks == "." and closed == run and self._is_abbreviation(place, following, ended):
            return None
        return following

    def _clause_end(self, place: int, ended: bool) -> int | None:
        mark = self._text[place]
        following = self._look(_SPACES, place + 1, ended)
        spaced = following > place + 1
        if mark not in _WIDE_CLAUSES and mark != "—" and not spaced:
            return None
        if mark in "–-" and not self._text[place - 1 : place].isspace():
            return None
        before = self._text[:place]
        if before.count("[") > before.count("]") or before.count("`") % 2 or before.count("(") > before.count(")"):
            return None
        enough = len(_WIDE_CHARACTER.findall(before)) >= FIRST_WIDE or (
            len(re.findall(rf"[^\W{_WIDE}]+(?:['’][^\W{_WIDE}]+)?", before)) >= FIRST_WORDS
        )
        return following if enough else None

    def _joint(self, place: int, ended: bool) -> int | None:
        """Behind a space before a word that joins clauses."""
        end = self._look(_WORD, place + 1, ended)
        before = self._text[:place]
        if self._text[place + 1 : end] not in _JOINTS or before.count("`") % 2 or before.count("(") > before.count(")"):
            return None
        return place + 1 if len(before.split()) >= JOINT_WORDS else None

    def _closers_end(self, run: int, ended: bool) -> int:
        """Behind the closing marks; a straight quote closes only what is open."""
        closed = self._look(_CLOSERS, run, ended)
        quotes = self._quotes + self._text.count('"', self._text.rfind("\n", 0, run) + 1, run)
        for place in range(run, closed):
            if self._text[place] == '"':
                if quotes % 2 == 0:
                    return place
                quotes += 1
        return closed

    def _is_number(self, place: int) -> bool:
        """Whether the dot at `place` ends the number of a list item."""
        return self._text[place] == "." and _LIST_NUMBER.match(self._text[:place]) is not None

    def _is_abbreviation(self, place: int, following: int, ended: bool) -> bool:
        """Whether the sentence goes on behind the dot at `place`; `following` is where the next word begins."""
        if self._is_number(place):
            return True
        word = re.split(r"[\s(\[{\"“‘'*_—–/-]", self._text[max(0, place - LOOK_AHEAD) : place])[-1]
        name, after = word.lower().lstrip("0123456789:"), self._text[following]
        if name in _NEVER_LAST:
            return True
        if name in _BEFORE_NUMBERS:
            return after.isdigit()
        if name in _MAY_BE_LAST:
            return not (after.isupper() or after in _OPENERS)
        if re.fullmatch(r"(?:[A-Z]\.)*[A-Z]", word) and word != "I":
            end = self._look(_WORD, following, ended)
            return end > following and self._text[following:end].lower().replace("’", "'") not in _STARTERS
        return False

    def _look(self, pattern: re.Pattern[str], place: int, ended: bool) -> int:
        """The end of what matches at `place`. Raises _Undecided when more text could change it."""
        found = pattern.match(self._text, place)
        end = found.end() if found else place
        if end == len(self._text) and not ended and not (end > place and self._text[end - 1] == "\n"):
            raise _Undecided
        return end

    def _forced_end(self, start: int, limit: int) -> int:
        """Where a sentence that is too long is cut: behind its last clause, else its last space, else anywhere."""
        clauses = [
            found.end()
            for found in re.finditer(r"[,;:–—]\s+|[，、：—]\s*", self._text[:limit])
            if _weight(self._text[start : found.end()]) >= MIN_CLAUSE_WEIGHT
        ]
        if clauses:
            return clauses[-1]
        spaces = [found.end() for found in re.finditer(r"\s+", self._text[start:limit])]
        return start + spaces[-1] if spaces else limit


class _Undecided(Exception):
    """More text is needed to tell whether a piece ends here."""


def _weight(text: str) -> int:
    return len(text) + len(_WIDE_CHARACTER.findall(text))


def _limit(text: str, start: int) -> int:
    """The place in `text` up to which it is not too long; beyond its end when all of it is not."""
    place = start + MAX_WEIGHT // 2
    while place <= len(text) and (room := MAX_WEIGHT - _weight(text[start:place])) > 0:
        place += max(1, room // 2)
    return place
