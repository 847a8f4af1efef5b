"""Full-text search: any text is a valid query, of any length, in any script.

The index holds trigrams, so a term of three characters or more is found anywhere in a word. Shorter
terms, as Chinese has many, are looked for by reading the texts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlite_utils

from edged.errors import InvalidInput
from edged.records import Reader
from edged.store.conversations import seen_by
from edged.store.texts import storable

MATCH_BEGIN, MATCH_END = "\x02", "\x03"
MAX_QUERY_CHARACTERS = 1000
MAX_TERMS = 32
_TRIGRAM = 3
"""Shortest term that the index can find."""
_BEFORE, _AFTER = 40, 120
"""Characters shown before and from the first match on."""


def search_terms(query: str) -> tuple[str, ...]:
    """The words of the query, all of which must occur. Raises InvalidInput for none or too many."""
    if len(query) > MAX_QUERY_CHARACTERS:
        raise InvalidInput(f"the search is longer than {MAX_QUERY_CHARACTERS} characters", field="query")
    terms = tuple(dict.fromkeys(storable(query.replace("\0", " "), field="query").split()))
    if not terms:
        raise InvalidInput("the search is empty: name something to look for", field="query")
    if len(terms) > MAX_TERMS:
        raise InvalidInput(f"the search has more than {MAX_TERMS} words", field="query")
    return terms


def matching_messages(
    db: sqlite_utils.Database, terms: Sequence[str], *, before: int, limit: int, reader: Reader
) -> Iterator[dict[str, Any]]:
    """Rows (seq, text) of messages that hold every term in any case, newest first, below row `before`.

    Only of conversations that the reader sees.
    """
    indexed = [term for term in terms if len(term) >= _TRIGRAM]
    source, row = ("search_index", "rowid") if indexed else ("message_texts", "seq")
    clauses = [f"{row} < ?"]
    values: list[object] = [before]
    if indexed:
        clauses.append("search_index MATCH ?")
        values.append(" ".join(_quoted(term) for term in indexed))
    for term in terms:
        if len(term) < _TRIGRAM:
            patterns = _like_patterns(term)
            clauses.append("(" + " OR ".join("text LIKE ? ESCAPE '\\'" for _ in patterns) + ")")
            values.extend(patterns)
    if not reader.sees_all:
        seen, whose = seen_by(reader)
        clauses.append(
            "EXISTS (SELECT 1 FROM messages m JOIN conversations c ON c.seq = m.conversation "  # noqa: S608
            f"WHERE m.seq = {source}.{row} AND {seen})"
        )
        values.extend(whose)
    condition = " AND ".join(clauses)
    return db.query(
        f"SELECT {row} AS seq, text FROM {source} WHERE {condition} ORDER BY {row} DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    )


def _quoted(term: str) -> str:
    """The term as an FTS5 string, in which no character is an operator."""
    return '"' + term.replace('"', '""') + '"'


def _like_patterns(term: str) -> list[str]:
    """Patterns that hold the term in every mix of case; LIKE itself only knows that of ASCII."""
    letters = (sorted({form for form in (c, c.lower(), c.upper()) if len(form) == 1}) for c in term)
    escaped = (re.sub(r"([\\%_])", r"\\\1", "".join(form)) for form in itertools.product(*letters))
    return [f"%{form}%" for form in escaped]


def snippet(text: str, terms: Sequence[str]) -> str:
    """One line around the first match, every match in it between U+0002 and U+0003."""
    text = text.replace(MATCH_BEGIN, "").replace(MATCH_END, "")
    pattern = re.compile("|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True)), re.IGNORECASE)
    found = pattern.search(text)
    first = found.start() if found else 0
    begin, end = max(0, first - _BEFORE), first + _AFTER
    marked = pattern.sub(rf"{MATCH_BEGIN}\g<0>{MATCH_END}", text[begin:end])
    line = " ".join(marked.split())
    return ("…" if begin else "") + line + ("…" if end < len(text) else "")
