from __future__ import annotations

import resource
import threading

import pytest

from edged.engine.chat_template import ChatTemplate
from edged.errors import ArtefactError, InvalidInput

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = """{{- bos_token }}
{%- set loop_messages = messages %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message["role"] == "user") != (loop.index0 % 2 == 0) %}
        {{- raise_exception("roles must alternate user/assistant") }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
"""
QWEN3 = """{%- if tools %}{{- 'tools' }}{%- endif %}
{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content }}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
EXOTIC = """{% generation %}{{ messages | tojson(indent=2) }}{% endgeneration %}
{% macro say(text) %}[{{ text | upper }}]{% endmacro %}
{%- for message in messages if message.role != 'system' -%}
    {% if loop.index > 3 %}{% break %}{% endif %}
    {{ say(message.content) }} {{ loop.length }} {{ message.content | length }} {{ loop.first ~ loop.last }}
    {{- messages | map(attribute='role') | unique | join(',') }} {{ 'x' * 3 }} {{ 7 % 4 }} {{ range(3) | list }}
{% endfor %}"""

IDS = ("smollm2", "llama3", "mistral", "qwen3", "exotic")

TALK = [
    {"role": "system", "content": "  Be brief. "},
    {"role": "user", "content": "Grüße, 世界\n"},
    {"role": "assistant", "content": "<think>hm</think>\n\nHi!"},
    {"role": "user", "content": "Why <b>&amp;</b>?"},
]


@pytest.mark.parametrize(
    "source", [SMOLLM2, LLAMA3, MISTRAL, QWEN3, EXOTIC], ids=["smollm2", "llama3", "mistral", "qwen3", "exotic"]
)
@pytest.mark.parametrize("enable_thinking", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_renders_as_transformers_does(source: str, enable_thinking: bool, first: int) -> None:
    chat = pytest.importorskip("transformers.utils.chat_template_utils")
    expected, _ = chat.render_jinja_template(
        [TALK[first:]],
        chat_template=source,
        add_generation_prompt=True,
        enable_thinking=enable_thinking,
        bos_token="<s>",
        eos_token="</s>",
    )
    template = ChatTemplate(source, name="t", bos_text="<s>", eos_text="</s>")
    assert template.render(TALK[first:], enable_thinking=enable_thinking) == expected[0]


GEMMA2 = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}\
{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if message['role'] == 'assistant' %}\
{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"""


def test_a_template_without_a_place_for_a_system_message_has_it_before_the_first_users() -> None:
    template = ChatTemplate(GEMMA2, name="t", bos_text="<bos>")
    rendered = template.render([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}])
    assert rendered == "<bos><start_of_turn>user\nBe brief.\n\nWhy?<end_of_turn>\n<start_of_turn>model\n"
    for messages in ([TALK[0]], [TALK[0], TALK[2]], [TALK[0], TALK[1], TALK[1]]):
        with pytest.raises(InvalidInput, match=r"refuses these messages: (System role|Conversation roles)"):
            template.render(messages)


def test_a_template_of_parts_has_the_system_message_as_the_first() -> None:
    source = (
        "{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "{% for part in message.content %}[{{ part.type }}:{{ part.text }}]{% endfor %}{% endfor %}"
    )
    parts = [{"type": "image"}, {"type": "text", "text": "What?"}]
    pictured = [{"role": "system", "content": "Look."}, {"role": "user", "content": parts}]
    assert ChatTemplate(source, name="t").render(pictured) == "[text:Look.\n\n][image:][text:What?]"


def test_a_template_may_refuse_messages() -> None:
    with pytest.raises(InvalidInput, match="roles must alternate"):
        ChatTemplate(MISTRAL, name="t").render([TALK[1], TALK[1]])


@pytest.mark.parametrize("source", ["{% for %}", "{{ x", "{% nonsense %}", "{{ 'a' | nonsense }}", "{{" * 5000])
def test_what_is_no_template(source: str) -> None:
    with pytest.raises(ArtefactError, match=r"chat\.jinja: not a chat template"):
        ChatTemplate(source, name="chat.jinja")


DOUBLE = "{% set ns.x = ns.x ~ ns.x %}"
HOSTILE = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "long range": "{% for a in range(10**9) %}{% endfor %}",
    "repeat string": "{{ 'a' * 10000000000 }}",
    "repeat twice": "{% set x = 'a' * 100000 %}{{ (x * 100000) | length }}",
    "repeat list": "{{ ([0] * 10000000000) | length }}",
    "power": "{{ 10 ** 10000000 }}",
    "square": "{% set ns = namespace(x=99999999) %}{% for a in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "double by ~": "{% set ns = namespace(x='aaaa') %}{% for a in range(60) %}" + DOUBLE + "{% endfor %}",
    "double by +": "{% set ns = namespace(x='a') %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "double lists": "{% set ns = namespace(x=[0]) %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "nest lists": "{% set ns = namespace(x=[0]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
    "{{ ns.x | tojson }}",
    "double by blocks": "{% set x0 %}aaaaaaaaaa{% endset %}"
    + "".join(f"{{% set x{n + 1} %}}{{{{ x{n} }}}}{{{{ x{n} }}}}{{% endset %}}" for n in range(60)),
    "double by macros": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(200) }}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "format": "{{ '%1000000000d' % 1 }}",
    "format filter": "{{ '%1000000000d' | format(1) }}",
    "format method": "{{ '{:>1000000000}'.format(1) }}",
    "pad": "{{ 'a'.ljust(10000000000) }}",
    "center": "{{ 'a' | center(10000000000) }}",
    "indent": "{{ 'a\\nb' | indent(10000000000) }}",
    "json indent": "{{ [1, 2] | tojson(indent=10000000000) }}",
    "replace": "{% set x = 'a' * 100000 %}{{ x.replace('a', x) }}",
    "replace filter": "{% set x = 'a' * 100000 %}{{ x | replace('a', x) }}",
    "join": "{% set x = 'a' * 100000 %}{{ x.join(x) }}",
    "lazy join": "{% set x = 'a' * 1000000 %}{{ range(99999) | map('default', x) | map('string') | join }}",
    "lazy defaults": "{% set x = 'a' * 1000000 %}{{ range(99999) | map(attribute='q', default=x) | join }}",
    "lorem ipsum": "{{ lipsum(n=100000000) }}",
    "compare": "{% set x = 'a' * 1000000 %}{% for a in range(99999) %}{% if 'b' in x %}{% endif %}{% endfor %}",
    "slices": "{% set x = 'a' * 1000000 %}{% for a in range(99999) %}{% set y = x[1:] %}{% endfor %}",
    "literal": "{% for a in range(99999) %}" + "a" * 100_000 + "{% endfor %}",
    "recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__.keys() }}",
    "frame": "{{ (messages | map('upper')).gi_frame.f_builtins }}",
    "import": "{% import 'os' as os %}{{ os.system('true') }}",
    "mutate": "{{ messages.append(1) }}",
    "missing": "{{ messages[99].content.nothing }}",
    "divide": "{{ 1 / 0 }}",
    "self": "{{ self.__init__.__globals__ }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "undefined call": "{{ nothing() }}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.timeout(20)
def test_a_hostile_template_ends_in_an_artefact_error(source: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArtefactError, match=r"chat\.jinja"):
        ChatTemplate(source, name="chat.jinja").render(TALK)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "it filled memory"


def test_a_long_conversation_is_within_the_budget() -> None:
    talk = [{"role": "user" if index % 2 == 0 else "assistant", "content": "word " * 200} for index in range(1000)]
    for source in (SMOLLM2, LLAMA3, MISTRAL, QWEN3):
        assert len(ChatTemplate(source, name="t").render(talk)) > 1_000_000


def test_threads_do_not_spend_each_others_budget() -> None:
    """A long message is measured in one thread while the device thread writes another prompt."""
    inside, outside = threading.Event(), threading.Event()
    template = ChatTemplate("{% for message in messages %}{{ message.content.x }}{% endfor %}", name="t")

    class Waits(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            if key == "x":
                inside.set()
                assert outside.wait(10)
            return "long" * 1000

        def __len__(self) -> int:
            return 1

    left: list[int] = []

    def slow() -> None:
        template.render([{"content": Waits()}])  # type: ignore[dict-item]
        left.append(template._sandbox.work_left)

    thread = threading.Thread(target=slow)
    thread.start()
    assert inside.wait(10)
    template.render([{"content": "abc"}])
    outside.set()
    thread.join()
    template.render([{"content": Waits()}])  # type: ignore[dict-item]
    assert left == [template._sandbox.work_left]
