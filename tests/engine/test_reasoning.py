from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.engine.reasoning import ReasoningSplitter
from edged.events import ReasoningDelta, TextDelta


def split(pieces: list[str], *, is_thinking: bool = False, marks: bool = True) -> tuple[str, str]:
    """(thinking, answer)."""
    splitter = ReasoningSplitter("<think>" if marks else None, "</think>" if marks else None, is_thinking=is_thinking)
    deltas = [delta for piece in pieces for delta in splitter.push(piece)] + splitter.flush()
    assert all(delta.text for delta in deltas)
    thinking = "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))
    return thinking, "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def test_marks_across_pieces() -> None:
    assert split(["<th", "ink>\nhm", "m</", "think>\n", "\nyes <", "b>"]) == ("hmm", "yes <b>")


def test_the_prompt_may_have_opened_the_thinking() -> None:
    assert split(["\nhm</think>yes"], is_thinking=True) == ("hm", "yes")


def test_thinking_that_never_ends() -> None:
    assert split(["<think>hm", "</thi"]) == ("hm</thi", "")


def test_a_model_without_marks() -> None:
    assert split(["<think>hm</think>"], marks=False) == ("", "<think>hm</think>")


@given(thinking=st.text(alphabet="ab<>/tink", min_size=1), answer=st.text(alphabet="ab<>/", min_size=1), data=st.data())
def test_any_cut_gives_the_same(thinking: str, answer: str, data: st.DataObject) -> None:
    text = f"<think>{thinking}</think>{answer}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(pieces) == split([text])
