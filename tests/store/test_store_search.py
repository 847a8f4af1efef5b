from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from talking import answer, ask, picture, talk

from edged.errors import InvalidInput
from edged.events import Role
from edged.records import OPERATOR
from edged.store.search import snippet


def found(store, query: str) -> list[str]:
    return [hit.snippet.replace("\x02", "").replace("\x03", "") for hit in store.search(query, reader=OPERATOR)[0]]


@pytest.fixture
def library(store):
    talk(store, "How do I cook rice?", "Rinse it, then simmer it gently.")
    talk(store, "今天北京的天气怎么样", "北京今天晴。")
    talk(store, "Wie heißt der größte Fluß?", "Der ÄGYPTISCHE Nil.")
    talk(store, 'A "quoted" word, 100%_sure \\ here', "C++ AND NOT (OR) NEAR* ^x:y")
    return store


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ("rice", 1),
        ("RICE", 1),
        ("immer", 1),
        ("it", 1),
        ("rinse gently", 1),
        ("rinse gentry", 0),
        ("gently rinse it", 1),
        ("北京", 2),
        ("天气", 1),
        ("京", 2),
        ("北京的天气", 1),
        ("天气 北京", 1),
        ("上海", 0),
        ("ägyptische", 1),
        ("äg", 1),
        ("ÄG ni", 1),
        ("GRÖSS", 0),
        ('"quoted"', 1),
        ('"', 1),
        ("%", 1),
        ("_", 1),
        ("%_", 1),
        ("__", 0),
        ("\\", 1),
        ("100%_sure", 1),
        ("C++", 1),
        ("AND", 1),
        ("NOT (OR)", 1),
        ("NEAR*", 1),
        ("^x:y", 1),
        ("text:rice", 0),
        ("rice*", 0),
    ],
)
def test_finds_every_message_that_holds_all_the_words(library, query, hits):
    assert len(found(library, query)) == hits


def test_newest_first_with_conversation_message_and_role(store):
    turn = talk(store, "a needle", "another needle")
    reply, question = store.search("needle", reader=OPERATOR)[0]
    assert (reply.message_id, reply.role) == (turn.answer_message_id, Role.ASSISTANT)
    assert (question.message_id, question.role) == (turn.user_message_id, Role.USER)
    assert reply.conversation == question.conversation == store.get(turn.conversation_id, reader=OPERATOR).conversation


def test_words_may_stand_in_different_parts_of_a_message(store):
    turn = ask(store, "first part", picture(b"1"), "second part")
    answer(store, turn, "")
    (hit,), _ = store.search("first second", reader=OPERATOR)
    assert (hit.message_id, hit.snippet) == (turn.user_message_id, "\x02first\x03 part \x02second\x03 part")


@pytest.mark.parametrize("query", ["", " \n\0", "x" * 1001, "\ud800"])
def test_a_search_for_nothing_is_refused(store, query):
    with pytest.raises(InvalidInput) as caught:
        store.search(query, reader=OPERATOR)
    assert caught.value.field == "query"


def test_long_queries(store):
    text = "".join(chr(0x4E00 + i) for i in range(1000))
    talk(store, text)
    assert len(store.search(text, reader=OPERATOR)[0]) == 1
    assert len(store.search(" ".join(text[i : i + 2] for i in range(0, 64, 2)), reader=OPERATOR)[0]) == 1
    with pytest.raises(InvalidInput, match="32 words"):
        store.search(" ".join(text[:33]), reader=OPERATOR)


def test_snippet_is_one_line_around_the_first_match():
    text = "before " * 20 + "the\nNeedle\tin a needlework " + "after " * 60
    line = snippet(text, ("needle",))
    assert "the \x02Needle\x03 in a \x02needle\x03work after" in line
    assert line.startswith("…") and line.endswith("…")
    assert len(line) < 200


def test_snippet_marks_the_longest_term_and_drops_marks_of_others():
    assert snippet("\x02a\x03 cat catalogue", ("cat", "catalogue")) == "a \x02cat\x03 \x02catalogue\x03"
    assert snippet("nothing here", ("x",)) == "nothing here"


words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=words.filter(str.strip), data=st.data())
def test_any_pieces_of_its_words_find_a_message(store, text, data):
    turn = talk(store, text, "")
    pieces = []
    for word in text.split()[:5]:
        begin = data.draw(st.integers(0, len(word) - 1))
        pieces.append(word[begin : data.draw(st.integers(begin + 1, len(word)))])
    query = data.draw(st.sampled_from([" ", "\n", "\u3000"])).join(data.draw(st.permutations(pieces)))
    assert turn.user_message_id in [hit.message_id for hit in store.search(query, reader=OPERATOR)[0]]
    store.delete(turn.conversation_id, reader=OPERATOR)
    assert store.list(reader=OPERATOR) == ((), "")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=60))
def test_no_query_breaks_the_search(library, query):
    try:
        hits, _ = library.search(query, reader=OPERATOR)
    except InvalidInput:
        return
    assert all(hit.snippet for hit in hits)
