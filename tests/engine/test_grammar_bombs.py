"""Grammars that would take for ever: refused or followed, each in about the time that a large honest one takes."""

from __future__ import annotations

import json
import resource
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edged.engine.grammar import MAX_KEPT, GrammarCompiler, check_grammar
from edged.engine.output_format import (
    MAX_CHOICES,
    MAX_CHOICES_CHARACTERS,
    MAX_LARK_CHARACTERS,
    MAX_PATTERNS_CHARACTERS,
    MAX_PROPERTIES,
    MAX_REGEX_CHARACTERS,
    MAX_SCHEMA_CHARACTERS,
)
from edged.engine.tokenizer import Tokenizer
from edged.errors import InvalidInput
from edged.events import OutputFormat
from tests.engine.constrained import choices, lark, regex, schema
from tests.tiny_artefact import tiny_tokenizer

GENEROUS_SECONDS = 20
"""Only what does not end takes longer, however busy the machine is."""


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> GrammarCompiler:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer = tiny_tokenizer()
    tokenizer.save(str(path))
    vocab_size = tokenizer.get_vocab_size()
    return GrammarCompiler(Tokenizer(path), vocab_size=vocab_size, ends=(vocab_size - 3,))


def chained(count: int, step: dict[str, object]) -> str:
    """A schema whose definitions lead from one to the next."""
    defs = {str(index): {**step, "items": {"$ref": f"#/d/{index + 1}"}} for index in range(count)}
    return json.dumps({"d": {**defs, str(count): {"type": "null"}}, "$ref": "#/d/0"})


BOMBS: dict[str, OutputFormat] = {
    "deep regex": regex("(" * 1000 + "a" + ")" * 1000),
    "stars of stars": regex("(" * 200 + "a" + ")*" * 200),
    "powers": regex("(a{1000}){1000}"),
    "powers of powers": regex("((a{100}){100}){100}"),
    "optional": regex("(a?){5000}a{5000}"),
    "as many optional as fit": regex("a?" * (MAX_REGEX_CHARACTERS // 2)),
    "as many stars as fit": regex(".*" * (MAX_REGEX_CHARACTERS // 2)),
    "no small automaton": regex("[a-z]*a[a-z]{2000}"),
    "three such": regex("(.*a.{18}b)|(.*c.{19}d)|(.*e.{20}f)"),
    "letters of all scripts": regex(r"(\p{L}|\p{N}|\p{S}|\w){1000}"),
    "doubling terminals": lark("start: A0\n" + "".join(f"A{i}: A{i + 1} A{i + 1}\n" for i in range(60)) + 'A60: "a"'),
    "doubling rules": lark("start: a0\n" + "".join(f"a{i}: a{i + 1} a{i + 1}\n" for i in range(60)) + 'a60: "a"'),
    "a long chain of rules": lark("start: a0\n" + "".join(f"a{i}: a{i + 1}\n" for i in range(300)) + 'a300: "a"'),
    "deep Lark": lark("start: " + "(" * 2000 + '"a"' + ")" * 2000),
    "ambiguous": lark('start: a a a a a a a a\na: a a | "x" a | a "x" | "x" | '),
    "ambiguous without end": lark('start: start start | "a" | ""'),
    "repeated repetitions": lark('start: ("a"{1,60000}){1,60000}'),
    "stars in Lark": lark("start: /" + ".*" * (MAX_LARK_CHARACTERS // 2 - 5) + "/"),
    "many rules in circles": lark("start: a\na: b\nb: a"),
    "deep schema": schema('{"items":' * 2000 + "{}" + "}" * 2000),
    "a schema in itself": schema('{"$ref": "#"}'),
    "schemas in each other": schema(
        '{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}'
    ),
    "a thousand arrays deep": schema(chained(1000, {"type": "array"})),
    "as many definitions as fit": schema(chained(MAX_PROPERTIES - 1, {})),
    "products": schema(
        json.dumps({"allOf": [{"anyOf": [{"required": [f"{i}_{j}"]} for j in range(6)]} for i in range(9)]})
    ),
    "meeting patterns": schema(
        json.dumps({"type": "string", "allOf": [{"pattern": f"(.*{c}){{5}}"} for c in "abcdefghijk"]})
    ),
    "many patterns": schema(
        json.dumps({"prefixItems": [{"type": "string", "pattern": "a?" * 1000 + str(i)} for i in range(4)]})
    ),
    "large prime factor": schema('{"type": "integer", "multipleOf": 999999937}'),
    "far limits": schema('{"type": "number", "minimum": 1e-300, "maximum": 1e300, "multipleOf": 1e-7}'),
    "many items": schema('{"items": {"items": {"minItems": 1000000}, "minItems": 1000000}, "minItems": 1000000}'),
    "many enum values": schema(json.dumps({"enum": [f"value {index}" for index in range(4000)]})),
    "a long constant": schema(json.dumps({"const": "x" * (MAX_SCHEMA_CHARACTERS - 20)})),
    "as many properties as fit": schema(
        json.dumps({"properties": {f"p{index}": {} for index in range(MAX_PROPERTIES)}})
    ),
    "many choices": choices(*(f"{index:05d}" for index in range(MAX_CHOICES))),
}


def follow(compiler: GrammarCompiler, output: OutputFormat, steps: int = 50) -> None:
    """Compile and take some steps at random, as an engine does."""
    random = np.random.default_rng(0)
    constraint = compiler.begin(output)
    for _ in range(steps):
        tokens = np.flatnonzero(constraint.allowed())
        constraint.push(int(random.choice(tokens)))
        if constraint.is_complete:
            return


@pytest.mark.parametrize("name", BOMBS)
def test_it_ends_soon_and_says_why(compiler: GrammarCompiler, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    for work in (check_grammar, lambda output: follow(compiler, output)):
        try:
            work(BOMBS[name])
        except InvalidInput as refused:
            assert refused.field == f"output.{BOMBS[name].kind}"
            assert refused.message.isprintable() and len(refused.message) < 400
    assert time.monotonic() - began < GENEROUS_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024, "in KiB"


def test_each_is_refused_or_followed_whatever_thread_asks(compiler: GrammarCompiler) -> None:
    """A chain of rules is followed by recursion, which must not depend on the caller's stack."""
    failed: list[str] = []

    def ask() -> None:
        follow(compiler, BOMBS["as many definitions as fit"])
        failed.append("nothing")

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=ask)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join(GENEROUS_SECONDS)
    assert failed == ["nothing"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (regex("a" * (MAX_REGEX_CHARACTERS + 1)), "too long"),
        (lark('start: "' + "a" * MAX_LARK_CHARACTERS + '"'), "too long"),
        (schema('"' + "a" * MAX_SCHEMA_CHARACTERS + '"'), "too long"),
        (schema(json.dumps({"pattern": "a" * (MAX_REGEX_CHARACTERS + 1)})), "a pattern in it"),
        (schema(json.dumps({"patternProperties": {"a" * (MAX_REGEX_CHARACTERS + 1): {}}})), "a pattern in it"),
        (
            schema(
                json.dumps(
                    {
                        "anyOf": [{"pattern": "a" * MAX_REGEX_CHARACTERS}]
                        * (MAX_PATTERNS_CHARACTERS // MAX_REGEX_CHARACTERS + 1)
                    }
                )
            ),
            "all patterns in it",
        ),
        (schema(json.dumps({"properties": dict.fromkeys(map(str, range(MAX_PROPERTIES + 1)), True)})), "1024 names"),
        (choices(), "1 to 1024 choices"),
        (choices(*(str(index) for index in range(MAX_CHOICES + 1))), "1 to 1024 choices"),
        (choices("a", ""), "a choice is empty"),
        (choices("a" * (MAX_CHOICES_CHARACTERS + 1)), "too long"),
        (schema("{"), "no JSON object"),
        (schema('{"minimum": NaN}'), "no JSON object"),
        (schema("[]"), "no JSON object"),
        (schema("false"), "no JSON object"),
        (schema('{"type": "objekt"}'), "Invalid type"),
        (schema('{"not": {}}'), "not"),
        (schema('{"if": {}, "then": false}'), "if"),
        (schema('{"type": "string", "format": "nonsense"}'), "Unknown format"),
        (schema('{"$ref": "https://example.com/schema"}'), "does not fetch"),
        (schema('{"$ref": "#/nowhere"}'), "nowhere"),
        (schema('{"type": "string", "pattern": "(?=a)"}'), "look-around"),
        (regex("(?<=a)b"), "look-around"),
        (lark("start: nothing"), "unknown name"),
        (lark('rule: "a"'), "start"),
        (lark("start: <|nope|>"), "unknown special token"),
        (lark("%import somewhere.X\nstart: X"), "Unknown common regex"),
    ],
)
def test_what_is_wrong_with_it_is_said_in_a_line(compiler: GrammarCompiler, output: OutputFormat, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        compiler.prepare(output)
    assert caught.value.field == f"output.{output.kind}"
    assert caught.value.message.isprintable()


def test_only_so_many_grammars_are_kept(compiler: GrammarCompiler) -> None:
    for index in range(3 * MAX_KEPT):
        compiler.prepare(regex(f"a{index}"))
        compiler.begin(regex("again"))
    assert len(compiler._kept) == MAX_KEPT
    assert regex("again") in compiler._kept, "what is used stays"


def test_one_answer_leaves_nothing_to_the_next(compiler: GrammarCompiler) -> None:
    """What following a grammar costs is counted anew for each answer: this one is exhausted within one."""
    for _ in range(3):
        follow(compiler, BOMBS["no small automaton"], steps=20)


def test_a_grammar_is_compiled_once(compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its answers do not know of each other."""
    compiler.prepare(choices("ab", "cd"))
    monkeypatch.setattr(compiler, "_compile", None)
    first, second = compiler.begin(choices("ab", "cd")), compiler.begin(choices("ab", "cd"))
    assert first.push_text("ab")
    assert first.is_complete
    assert not second.is_complete
    assert second.push_text("cd")


def test_nothing_of_a_grammar_or_an_answer_is_printed(
    compiler: GrammarCompiler, capfd: pytest.CaptureFixture[str]
) -> None:
    for output in (*BOMBS.values(), regex("secret(")):
        try:
            follow(compiler, output, steps=5)
        except InvalidInput:
            continue
    constraint = compiler.begin(regex("secret"))
    with pytest.raises(InvalidInput):
        constraint.push(int(np.flatnonzero(~constraint.allowed())[0]))
    assert capfd.readouterr() == ("", "")


def test_the_folder_is_not_read(compiler: GrammarCompiler, tmp_path: Path) -> None:
    """Lark's %import names files elsewhere."""
    (tmp_path / "names.lark").write_text('NAME: "x"')
    with pytest.raises(InvalidInput):
        compiler.prepare(lark(f"%import {tmp_path}/names.NAME\nstart: NAME"))
