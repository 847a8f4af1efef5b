"""Answers of a form, by every name that clients have for one."""

from __future__ import annotations

import json

import pytest

from edged.errors import InvalidInput
from edged.events import OutputFormat, OutputKind
from tests.server.api.http_daemon import HttpDaemon

SCHEMA = {"type": "object", "properties": {"città": {"type": "string"}}}
TEXT = json.dumps(SCHEMA, ensure_ascii=False)
AS_SCHEMA = OutputFormat(kind=OutputKind.JSON_SCHEMA, text=TEXT)


@pytest.mark.parametrize(
    ("options", "output"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, OutputFormat(kind=OutputKind.JSON)),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}, AS_SCHEMA),
        ({"json_schema": SCHEMA}, AS_SCHEMA),
        ({"guided_json": SCHEMA}, AS_SCHEMA),
        ({"guided_json": TEXT}, AS_SCHEMA),
        ({"guided_regex": "a+"}, OutputFormat(kind=OutputKind.REGEX, text="a+")),
        ({"guided_choice": ["a", "b"]}, OutputFormat(kind=OutputKind.CHOICES, choices=("a", "b"))),
        ({"guided_grammar": 'start: "a"'}, OutputFormat(kind=OutputKind.LARK, text='start: "a"')),
        ({"structured_outputs": {"json": SCHEMA}}, AS_SCHEMA),
        ({"structured_outputs": {"regex": "a+"}}, OutputFormat(kind=OutputKind.REGEX, text="a+")),
        ({"structured_outputs": {"choice": ["a"]}}, OutputFormat(kind=OutputKind.CHOICES, choices=("a",))),
        ({"structured_outputs": {"grammar": "start: A"}}, OutputFormat(kind=OutputKind.LARK, text="start: A")),
        ({"structured_outputs": {"json_object": True}}, OutputFormat(kind=OutputKind.JSON)),
    ],
)
@pytest.mark.parametrize("path", ["chat/completions", "completions"])
async def test_a_form_has_many_names(
    daemon: HttpDaemon, options: dict[str, object], output: OutputFormat | None, path: str
) -> None:
    said = {"prompt": "x"} if path == "completions" else {"messages": [{"role": "user", "content": "x"}]}
    assert (await daemon.post(f"/v1/{path}", {**said, **options})).status == 200
    assert daemon.model.requests[0].output == output


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"guided_regex": "a", "response_format": {"type": "json_object"}}, "guided_regex"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs.choice"),
        ({"guided_choice": "a"}, "guided_choice"),
        ({"guided_json": 5}, "guided_json"),
        ({"grammar": 'root ::= "a"'}, "grammar"),
    ],
)
async def test_one_form_at_a_time_and_a_known_one(daemon: HttpDaemon, options: dict[str, object], param: str) -> None:
    answer = await daemon.chat(**options)
    assert (answer.status, answer.json()["error"]["param"]) == (400, param)
    assert not daemon.model.requests


async def test_what_is_wrong_with_a_form_is_said_of_its_own_field(daemon: HttpDaemon) -> None:
    daemon.model.refusal = InvalidInput("output.regex cannot be followed", field="output.regex")
    assert (await daemon.chat(guided_regex="(")).json()["error"]["param"] == "guided_regex"
