"""The words of models for phones: read, written, and as a grammar."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from edged.errors import MalformedAction
from edged.pipeline.phone.dialect import MAX_WRITTEN_CHARACTERS, grammar, read, written
from edged.records import (
    Back,
    CallApi,
    DoubleTap,
    Finish,
    Home,
    Interact,
    Launch,
    LongPress,
    Note,
    PhoneAction,
    ScreenPlace,
    Swipe,
    TakeOver,
    Tap,
    TypeName,
    TypeText,
    Wait,
)

WELL_FORMED: dict[str, PhoneAction] = {
    'do(action="Launch", app="微信")': Launch(app="微信"),
    'do(action="Tap", element=[0,999])': Tap(element=ScreenPlace(x=0, y=999)),
    'do(action="Tap", element=[ 12 , 34 ], message="重要操作")': Tap(
        element=ScreenPlace(x=12, y=34), message="重要操作"
    ),
    'do(action="Double Tap", element=[500,500])': DoubleTap(element=ScreenPlace(x=500, y=500)),
    'do(action="Long Press",element=[1,2])': LongPress(element=ScreenPlace(x=1, y=2)),
    'do(action="Swipe", start=[500,800], end=[500,200])': Swipe(
        start=ScreenPlace(x=500, y=800), end=ScreenPlace(x=500, y=200)
    ),
    'do(action="Type", text="今晚七点，老地方见")': TypeText(text="今晚七点，老地方见"),
    'do(action="Type", text="He said \\"no\\" (twice), see [1,2]")': TypeText(text='He said "no" (twice), see [1,2]'),
    'do(action="Type", text="one\ntwo\\nthree")': TypeText(text="one\ntwo\nthree"),
    'do(action="Type", text="do(action=\\"Tap\\", element=[1,1])")': TypeText(text='do(action="Tap", element=[1,1])'),
    'do(action="Type", text="C:\\dir 100% \'q\' $(id) `id`")': TypeText(text="C:\\dir 100% 'q' $(id) `id`"),
    'do(action="Type_Name", text="王小明")': TypeName(text="王小明"),
    'do(action="Back")': Back(),
    'do(action="Home")': Home(),
    'do(action="Interact")': Interact(),
    'do(action="Wait", duration="2 seconds")': Wait(seconds=2),
    'do(action="Wait", duration="1 second")': Wait(seconds=1),
    'do(action="Take_over", message="请登录")': TakeOver(message="请登录"),
    'do(action="Note", message="True")': Note(message="True"),
    'do(action="Call_API", instruction="sum it up")': CallApi(instruction="sum it up"),
    'finish(message="")': Finish(message=""),
    'finish(message="完成了")': Finish(message="完成了"),
    # Around an action
    '\n<answer>do(action="Back")</answer>\n': Back(),
    'do(action="Back")</answer>': Back(),
    'do(action="Back")</answer></answer>': Back(),
    '<|begin_of_box|>do(action="Home")<|end_of_box|>': Home(),
    '<answer><|begin_of_box|>finish(message="ok")<|end_of_box|></answer>': Finish(message="ok"),
    'do(action="Home")<|end_of_box|>\n</answer>': Home(),
}
MALFORMED = [
    "",
    "I tap on the button.",
    "</answer>",
    'I will: do(action="Back")',
    'do(action="Back"',
    'do(action="Back",)',
    "do()",
    "do(Back)",
    "do(action=Back)",
    'do(action="back")',
    'do(action="Shell", text="id")',
    'do(action="Tap")',
    'do(action="Tap", element=[500])',
    'do(action="Tap", element=[500,1000])',
    'do(action="Tap", element=[-1,5])',
    'do(action="Tap", element=[1.5,5])',
    'do(action="Tap", element="[1,5]")',
    'do(action="Tap", element=[1,5], element=[2,6])',
    'do(action="Tap", element=[1,5], text="x")',
    'do(action="Tap" element=[1,5])',
    'do(action="Type", text="unbalanced)',
    'do(action="Type", text="He said "hi"")',
    'do(action="Type", text=__import__("os").system("id"))',
    'do(action="Wait", duration="long")',
    'do(action="Wait", duration="-1 seconds")',
    'do(action="Back")do(action="Home")',
    'do(action="Back")\ndo(action="Tap", element=[1,5])',
    'do(action="Back")</answer><answer>finish(message="x")',
    'do(action="Back") and then wait',
    'finish(message="x"); import os',
    "finish()",
    'finish("x")',
    'do(action="Finish", message="x")',
    'eval("1")',
]


@pytest.mark.parametrize("text", WELL_FORMED)
def test_well_formed(text: str) -> None:
    assert read(text) == WELL_FORMED[text]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed(text: str) -> None:
    with pytest.raises(MalformedAction) as raised:
        read(text)
    assert "\n" not in raised.value.message and "Tap" not in raised.value.message


places = st.builds(ScreenPlace, x=st.integers(0, 999), y=st.integers(0, 999))
said = st.text(max_size=30)
actions: st.SearchStrategy[PhoneAction] = st.one_of(
    st.builds(Launch, app=said),
    st.builds(Tap, element=places, message=said),
    st.builds(DoubleTap, element=places),
    st.builds(LongPress, element=places),
    st.builds(Swipe, start=places, end=places),
    st.builds(TypeText, text=said),
    st.builds(TypeName, text=said),
    st.builds(Wait, seconds=st.integers(0, 999)),
    st.builds(TakeOver, message=said),
    st.builds(Note, message=said),
    st.builds(CallApi, instruction=said),
    st.builds(Finish, message=said),
    st.sampled_from([Back(), Home(), Interact()]),
)


@given(actions)
@example(TypeText(text='\\"\\n")do(action="Back")</answer>'))
def test_what_is_written_is_read_as_the_same(action: PhoneAction) -> None:
    assert read(written(action)) == action
    assert read(f"\n<answer>{written(action)}</answer>") == action


@given(st.text(alphabet='do(action="Tap", element=[15])</answer>\\\nfinish', max_size=60))
def test_whatever_is_written_is_an_action_or_an_error(text: str) -> None:
    try:
        action = read(text)
    except MalformedAction:
        return
    assert read(written(action)) == action


class Bytes:
    """A vocabulary of all bytes and an end."""

    eos_token_id = 256
    bos_token_id = None
    special_token_ids = (256,)
    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")

    def __call__(self, text: str) -> list[int]:
        return list(text.encode())


def admitted(text: str) -> bool:
    """Whether the grammar lets a model write all of it, and end there."""
    from llguidance import TokenizerWrapper

    matcher = LLMatcher(LLTokenizer(TokenizerWrapper(Bytes())), LLMatcher.grammar_from_lark(grammar()), log_level=0)
    data = list(text.encode())
    return matcher.validate_tokens(data) == len(data) and matcher.consume_tokens(data) and matcher.is_accepting()


@settings(max_examples=60, deadline=None)
@given(actions.filter(lambda action: not re.search(r'""|[\x00-\x09\x0b-\x1f\x7f]', written(action).replace('\\"', ""))))
def test_the_grammar_admits_every_action(action: PhoneAction) -> None:
    if isinstance(action, Wait) and not 1 <= action.seconds <= 99:
        return
    assert admitted(written(action).replace("\\t", " ").replace("\\r", " "))


@pytest.mark.parametrize("text", [*MALFORMED, 'do(action="Back")</answer>', f'finish(message="{"x" * 301}")'])
def test_the_grammar_admits_nothing_else(text: str) -> None:
    assert not admitted(text)


def test_the_grammar_bounds_what_is_written() -> None:
    assert admitted(f'<answer>finish(message="{"好" * MAX_WRITTEN_CHARACTERS}")')
