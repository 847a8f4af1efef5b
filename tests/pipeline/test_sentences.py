"""Answers are cut where a voice may pause, early for the first piece, and the same way however they arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.sentences import LOOK_AHEAD, MAX_WEIGHT, SentenceSplitter


def pieces(text: str, *, size: int = 1) -> list[str]:
    """What the splitter makes of a text that arrives in deltas of `size` characters."""
    splitter = SentenceSplitter()
    found = [piece for place in range(0, len(text), size) for piece in splitter.push(text[place : place + size])]
    return found + splitter.finish()


CUTS = [  # a stroke stands where one piece ends and the next begins
    # plain sentences
    "Hello there. |How are you? |Fine!",
    "Yes. |No? |Well!",
    "One sentence only",
    "What?! |Really.",
    "Wait... |Now it goes on.",
    "It was... strange. |Very.",
    "It was… strange. |Very.",
    # abbreviations
    "Dr. Smith met Mr. Jones and Mrs. Brown. |They talked.",
    "Bring fruit, e.g. apples. |Or i.e. fruit.",
    "Cats vs. dogs is old. |Really.",
    "See No. 5 below. |Then go.",
    "I said No. |That is wrong.",
    "Look at Fig. 3 and p. 12 there. |Good.",
    "St. John is here. |So is Mt. Everest.",
    "Apples, pears, etc. are fruit. |Fine.",
    "Apples, pears, etc. |Then we left.",
    "Acme Inc. is big. |Acme Inc. |It grew.",
    "He came on Jan. 5 and left. |Good.",
    "We met at 5 p.m. in town. |It was late.",
    "We met at 5 p.m. |The sun was low.",
    "She has a Ph.D. in physics. |Good.",
    "Smith et al. found it. |So did we.",
    # initials and acronyms
    "J. R. R. Tolkien wrote it. |I read it.",
    "George W. Bush was president. |Yes.",
    "Take vitamin C. |It helps.",
    "So am I. |Then we agree.",
    "He lives in the U.S. |He likes it.",
    "The U.S. Army came. |It left.",
    "He moved to the U.K. in May. |Good.",
    # numbers
    "Pi is 3.14 or so. |Good.",
    "We met at 10.30 there. |Good.",
    "It costs 1,234.50 dollars. |Too much.",
    "It happened in 1999. |Then came 2000.",
    "Version 2.0.1 is out. |Try it.",
    "Visit example.com today. |Or www.example.org.",
    # quotes and brackets
    'He said "Stop." |Then he left.',
    '"Really?" he asked. |Yes.',
    "“Go.” |She went.",
    "(He was tired.) |He slept.",
    "It ended (at last). |Good.",
    "**It works.** |Next.",
    "It is 'fine.' |Next.",
    'He said "Stop. |Go." |And "Wait." |Then he left.',
    # lines, lists, code
    "Title\n|Text",
    "First line\n|\nSecond paragraph.\n|\n\nThird",
    "1. Milk.\n|2. Eggs.\n|3. Bread.",
    "1. Preheat it. |Then wait.\n|2. Bake it.",
    "a. Milk\n|b. Eggs",
    "- Milk\n|- Eggs\n",
    "Try it:\n|```python\nx = 1. Then\n\nprint(x)\n```\n|Done. |Good.",
    "```\ncode. More. Code!\n",
    "~~~\na. B\n```\nC. D\n~~~\n|Text",
    "````md\n```\nA. B\n```\n````\n|Text",
    "```x``` is code. |Good.",
    "Use `a. B` here. |Good.",
    # Chinese
    "你好。|今天天气很好！|是吗？|是的；|好",
    "真的吗？？|真的！！",
    "他说：“我来了。”|然后走了。",
    "（完了。）|好。",
    "他点头。|\"好的。\"|我走了。",
    "圆周率是3.14左右。|好。",
    "等等……然后走了。|好。",
    "你好!|很高兴认识你.|再见",
    "1.苹果。|2.梨。",
    "好。 |Good. |好。",
    "你好。\n|再见。\n",
    # blank
    "",
    "\n\n  ",
    "Hello. ",
]  # fmt: skip


@pytest.mark.parametrize("cut", CUTS)
def test_pieces_end_where_sentences_and_lines_do(cut: str) -> None:
    assert pieces(cut.replace("|", "")) == [piece for piece in cut.split("|") if piece]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Well, I think so, but it depends.", "Well, I think so, "),
        ("In the end it does, as they say.", "In the end it does, "),
        ("Here are the four steps: first, wait.", "Here are the four steps: "),
        ("This is a common idiomatic expression that means to go.", "This is a common idiomatic expression "),
        ("It is what that means.", "It is what that means."),
        ("The man in the big house thatched his roof.", "The man in the big house thatched his roof."),
        ("One of the best places (small and old) is here.", "One of the best places (small and old) is here."),
        ("It is a nice day - or so they say.", "It is a nice day - "),
        ("It is a nice day — or so they say.", "It is a nice day — "),
        ("It is well-known, that is true.", "It is well-known, "),
        ("It costs about 1,234 dollars in all.", "It costs about 1,234 dollars in all."),
        ("The show starts at 10:30 in town.", "The show starts at 10:30 in town."),
        ("See the [one, two, three](http://a.b) page.", "See the [one, two, three](http://a.b) page."),
        ("See now the `a, b` code there.", "See now the `a, b` code there."),
        ("Yes, of course.", "Yes, of course."),
        ("今天的天气非常好啊，我们出去玩。", "今天的天气非常好啊，"),
        ("你好，我们出去玩吧，好不好？", "你好，我们出去玩吧，"),
        ("今天我要说的是这些：一、二。", "今天我要说的是这些："),
    ],
)
def test_the_first_piece_may_end_at_a_clause(text: str, first: str) -> None:
    assert pieces(text)[0] == first


def test_later_pieces_are_whole_sentences() -> None:
    assert pieces("Yes. In the end it does, as they say: it works.") == [
        "Yes. ",
        "In the end it does, as they say: it works.",
    ]


def test_a_piece_is_ready_as_soon_as_the_next_word_begins() -> None:
    splitter = SentenceSplitter()
    assert splitter.push("Hello there.") == []
    assert splitter.push(" ") == []
    assert splitter.push("H") == ["Hello there. "]
    assert splitter.push("e said so.\n") == ["He said so.\n"]
    assert splitter.finish() == []


def test_a_splitter_begins_anew_after_it_has_finished() -> None:
    splitter = SentenceSplitter()
    splitter.push('He said, well, "no')
    assert splitter.finish() == ['He said, well, "no']
    assert splitter.push("In the end it does, as") == ["In the end it does, "]


def test_long_sentences_are_cut_at_clauses_and_spaces() -> None:
    clauses = pieces("Yes. " + "and then we went on, " * 30)
    assert all(piece.endswith("on, ") and len(piece) <= MAX_WEIGHT for piece in clauses[1:])
    words = pieces("Yes. " + "word " * 100)
    assert all(piece.endswith(" ") and len(piece) <= MAX_WEIGHT for piece in words)
    assert max(map(len, pieces("a" * 1000))) <= MAX_WEIGHT
    assert max(map(len, pieces("好" * 1000))) <= MAX_WEIGHT // 2
    assert len(pieces("然后我们就走了，" * 30)) > 2


FRAGMENTS = st.sampled_from(
    [
        *"aA1.,!?\"'()[]*`~-:;…—。，！？；：“”、好很  \n\n",
        *("Dr.", "e.g.", "U.S.", "No. 5", "```", "\n```\n", "...", "3.14", "The ", "word ", "1. ", "今天天气很好"),
        *("word " * 30, "好" * 60, " " * 120, "a.b" * 50),
    ]
)
TEXTS = st.one_of(st.text(max_size=300), st.lists(FRAGMENTS, max_size=60).map("".join))


@given(TEXTS)
def test_the_pieces_together_are_the_text(text: str) -> None:
    found = pieces(text)
    assert "".join(found) == text
    assert all(found)
    assert all(piece.strip() for piece in found[:-1])


@given(TEXTS, st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_the_pieces_do_not_depend_on_the_deltas(text: str, sizes: list[int]) -> None:
    splitter, found, place, turn = SentenceSplitter(), [], 0, 0
    while place < len(text):
        size = sizes[turn % len(sizes)]
        found += splitter.push(text[place : place + size])
        place, turn = place + size, turn + 1
    assert found + splitter.finish() == pieces(text) == pieces(text, size=max(len(text), 1))


@given(st.lists(FRAGMENTS.filter(lambda part: "`" not in part and "~" not in part), max_size=80).map("".join))
def test_outside_code_no_piece_is_too_long(text: str) -> None:
    assert all(len(piece.strip()) <= MAX_WEIGHT + 2 * LOOK_AHEAD for piece in pieces(text))
