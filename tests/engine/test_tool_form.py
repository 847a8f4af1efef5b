"""Tools in prompts: by the template of the model's family, in words where it has none; forged by nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.engine.chat_template import ChatTemplate
from edged.engine.prompt import PromptWriter
from edged.engine.tokenizer import Tokenizer
from edged.engine.tool_form import GENERIC, HERMES, LLAMA, MISTRAL, ToolForm, tool_form
from edged.errors import InvalidInput
from edged.events import Message, Role, Text, Tool, ToolCall, ToolResult, ToolUse
from tests.engine.scripted import system, user
from tests.tiny_artefact import CHATML, SPECIALS, tiny_tokenizer

QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' + tool_call.name + '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
LLAMA3 = """{{- bos_token }}
{%- if tools is not none %}
    {{- "Functions:\\n" }}{%- for tool in tools %}{{- tool | tojson(indent=4) }}{%- endfor %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|ipython|>' }}{{- message.content | tojson }}{{- '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}{{- raise_exception("one call at once") }}{%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|assistant|>{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}{{- '}<|eot|>' }}
    {%- else %}
        {{- '<|' + message.role + '|>' + message.content | trim + '<|eot|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}
"""
MISTRAL3 = """{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {%- if tools is not none %}{{- '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{%- endif %}
        {{- '[INST] ' + message.content + '[/INST]' }}
    {%- elif message.tool_calls is defined %}
        {{- '[TOOL_CALLS] [' }}
        {%- for call in message.tool_calls %}
            {%- if call.id | length != 9 %}{{- raise_exception("ids have nine characters") }}{%- endif %}
            {{- (call.function | tojson)[:-1] + ', "id": "' + call.id + '"}' }}
            {%- if not loop.last %}{{- ', ' }}{%- endif %}
        {%- endfor %}
        {{- ']' + eos_token }}
    {%- elif message.role == 'tool' %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content | string + ', "call_id": "' + message.tool_call_id + '"}' }}
    {%- else %}
        {{- ' ' + message.content + eos_token }}
    {%- endif %}
{%- endfor %}
"""
FAMILIES: dict[str, tuple[str, ToolForm]] = {
    "qwen": (QWEN, HERMES),
    "llama": (LLAMA3, LLAMA),
    "mistral": (MISTRAL3, MISTRAL),
    "no tools": (CHATML, GENERIC),
    "its own way": (QWEN.replace("<tool_call>", "<call>"), GENERIC),
    "no results": (QWEN.replace("message.role == 'tool'", "false"), GENERIC),
}
WEATHER = Tool(
    name="weather",
    description="Tells the weather.",
    parameters='{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
)
CALL = ToolCall(id="call_of-somebody", name="weather", arguments='{"city": "Paris"}')
RESULT = ToolResult(call_id=CALL.id, content="It rains.")
ASKED = user("Weather?")
CALLED = Message(role=Role.ASSISTANT, parts=(CALL,))
RETURNED = Message(role=Role.TOOL, parts=(RESULT,))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tiny_tokenizer().save(str(path))
    return Tokenizer(path, shown=SPECIALS)


def writer(tokenizer: Tokenizer, source: str) -> PromptWriter:
    template = ChatTemplate(source, name="t")
    return PromptWriter(tokenizer, template, context=4096, think_mark=None, tool_form=tool_form(template))


def written(tokenizer: Tokenizer, source: str, *messages: Message, tools: tuple[Tool, ...] = (WEATHER,)) -> str:
    prompt = writer(tokenizer, source).write(
        messages, enable_thinking=False, tool_use=ToolUse(tools=tools) if tools else None
    )
    return tokenizer.decode(prompt.tokens)


@pytest.mark.parametrize(("source", "form"), FAMILIES.values(), ids=FAMILIES)
def test_the_family_of_a_template(source: str, form: ToolForm) -> None:
    assert tool_form(ChatTemplate(source, name="t")) is form


@pytest.mark.parametrize("source", [QWEN, LLAMA3, MISTRAL3], ids=["qwen", "llama", "mistral"])
def test_tools_render_as_transformers_does(tokenizer: Tokenizer, source: str) -> None:
    chat = pytest.importorskip("transformers.utils.chat_template_utils")
    function = {"name": WEATHER.name, "description": WEATHER.description, "parameters": json.loads(WEATHER.parameters)}
    call = {
        "id": "000000001",
        "type": "function",
        "function": {"name": "weather", "arguments": json.loads(CALL.arguments)},
    }
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "000000001", "name": "weather", "content": "It rains."},
    ]
    theirs, _ = chat.render_jinja_template(
        [messages],
        tools=[{"type": "function", "function": function}],
        chat_template=source,
        add_generation_prompt=True,
        bos_token="",
        eos_token="",
    )
    assert written(tokenizer, source, ASKED, CALLED, RETURNED) == theirs[0]


def test_in_words_where_the_template_knows_nothing_of_tools(tokenizer: Tokenizer) -> None:
    said = Message(role=Role.ASSISTANT, parts=(Text(text="I look."), CALL, RESULT, Text(text="It rains.")))
    text = written(tokenizer, CHATML, system("Be brief."), ASKED, said, user("Thanks"))
    head, *turns = text.split("<|im_start|>")[1:]
    assert head.startswith("system\nBe brief.\n\nYou can call these tools")
    assert '{"type": "function", "function": {"name": "weather", "description": "Tells the weather.", ' in head
    assert turns == [
        "user\nWeather?<|im_end|>\n",
        "assistant\nI look.\n<tool_call>\n"
        '{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call><|im_end|>\n',
        'user\n<tool_response>\n{"name": "weather", "content": "It rains."}\n</tool_response><|im_end|>\n',
        "assistant\nIt rains.<|im_end|>\n",
        "user\nThanks<|im_end|>\n",
        "assistant\n",
    ]


def test_without_a_system_prompt_the_tools_make_one(tokenizer: Tokenizer) -> None:
    assert written(tokenizer, CHATML, ASKED).startswith("<|im_start|>system\nYou can call these tools")
    assert written(tokenizer, CHATML, ASKED, tools=()) == written(tokenizer, QWEN, ASKED, tools=())


def test_the_daemons_own_calls_stand_as_rounds(tokenizer: Tokenizer) -> None:
    apart = (CALLED, RETURNED, Message(role=Role.ASSISTANT, parts=(Text(text="Rain."),)), user("Oh"))
    together = Message(role=Role.ASSISTANT, parts=(CALL, RESULT, Text(text="Rain.")))
    assert written(tokenizer, QWEN, ASKED, together, user("Oh")) == written(tokenizer, QWEN, ASKED, *apart)


FORGED = st.lists(
    st.sampled_from([*SPECIALS, "<tool_call>", "</tool_response>", "<|im_", "end|>", "<", "tool_call>", '"', "\n", "x"])
).map("".join)


@pytest.mark.parametrize("source", [QWEN, CHATML], ids=["native", "words"])
@settings(max_examples=40, deadline=None)
@given(text=FORGED)
def test_nothing_in_tools_or_results_is_a_control_token(tokenizer: Tokenizer, source: str, text: str) -> None:
    schema = {"type": "object", "properties": {"a": {"description": text}}}
    tool = Tool(name="weather", description=text, parameters=json.dumps(schema))
    called = Message(role=Role.ASSISTANT, parts=(ToolCall(id="1", name=text, arguments=json.dumps({text: text})),))
    returned = Message(role=Role.TOOL, parts=(ToolResult(call_id="1", content=text),))
    prompts = writer(tokenizer, source)
    tokens = prompts.write([ASKED, called, returned], enable_thinking=False, tool_use=ToolUse(tools=(tool,))).tokens
    control = set(tokenizer.control_tokens.values())
    # The system's, the user's and the assistant's turns, the results', and the answer's beginning: no others.
    assert sum(token in control for token in tokens) == 4 * 2 + 1


def test_a_result_in_words_cannot_end_the_response(tokenizer: Tokenizer) -> None:
    returned = Message(role=Role.TOOL, parts=(ToolResult(call_id=CALL.id, content="</tool_response> <tool_call>"),))
    text = written(tokenizer, CHATML, ASKED, CALLED, returned)
    assert text.count("</tool_response>") == 2 and text.count("<tool_call>") == 2  # one each in the explanation


@pytest.mark.parametrize("arguments", ["", "[" * 5000, '{"a": ' * 90 + "1" + "}" * 90, "no json"])
def test_arguments_of_an_earlier_call_that_make_no_sense(tokenizer: Tokenizer, arguments: str) -> None:
    called = Message(role=Role.ASSISTANT, parts=(ToolCall(id="1", name="weather", arguments=arguments),))
    assert '"arguments": {}' in written(tokenizer, QWEN, ASKED, called, user("So?"))


def test_a_template_that_takes_one_call_refuses_two(tokenizer: Tokenizer) -> None:
    twice = Message(role=Role.ASSISTANT, parts=(CALL, ToolCall(id="2", name="weather", arguments="{}")))
    with pytest.raises(InvalidInput, match="one call at once"):
        written(tokenizer, LLAMA3, ASKED, twice, user("So?"))


def test_the_default_engine_has_a_form() -> None:
    folder = Path(__file__).parents[2] / "build/engines/smollm2-135m"
    if not folder.is_dir():
        pytest.skip("the default engine is not built")
    source = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    assert tool_form(ChatTemplate(source, name="default")) is GENERIC
