"""What a request asks to keep is kept, as one conversation that grows; nothing else is."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from edged.errors import EdgedError
from edged.events import MessageState, TextDelta
from tests.server.api.http_daemon import HttpDaemon
from tests.server.conftest import MAX_TEXT_BYTES
from tests.server.scripted import END, WAIT, until

Said = list[dict[str, Any]]


def kept(daemon: HttpDaemon) -> list[list[tuple[str, str]]]:
    return [[(str(one.role), one.text) for one in said] for said in daemon.memory.messages.values()]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


PARIS = {"role": "assistant", "content": "Paris."}


async def ask(daemon: HttpDaemon, *messages: dict[str, Any], **options: Any) -> None:
    async with daemon.client() as client:
        said: Any = messages
        answer = await client.chat.completions.create(model="", messages=said, **options)
        if options.get("stream"):
            assert [chunk async for chunk in answer][-1].choices[0].finish_reason == "stop"


async def test_nothing_is_kept_that_nobody_asked_for(daemon: HttpDaemon) -> None:
    for store in (None, False):
        await ask(daemon, user("a"), store=store)
    assert not daemon.memory.messages


@pytest.mark.parametrize("stream", [True, False])
async def test_questions_that_follow_one_another_are_one_conversation(daemon: HttpDaemon, stream: bool) -> None:
    system = {"role": "system", "content": "Be brief."}
    await ask(daemon, system, user("a"), store=True, stream=stream)
    await ask(daemon, system, user("a"), PARIS, user("b"), store=True, stream=stream)
    (said,) = kept(daemon)
    assert [one for one in said if one[0] != "system"] == [
        ("user", "a"),
        ("assistant", "Paris."),
        ("user", "b"),
        ("assistant", "Paris."),
    ]
    assert [one.text for one in daemon.model.requests[-1].messages] == ["Be brief.", "a", "Paris.", "b"]
    await ask(daemon, system, user("a"), {"role": "assistant", "content": "Rome."}, user("b"), store=True)
    assert len(kept(daemon)) == 2, "that was never said here"


async def test_a_question_that_is_refused_leaves_nothing_and_its_conversation_as_it_was(daemon: HttpDaemon) -> None:
    for past in ((user("a"), PARIS), (user("x" * (MAX_TEXT_BYTES + 1)), PARIS)):
        with pytest.raises(openai.BadRequestError):
            await ask(daemon, *past, user(" "), store=True)
    assert not daemon.memory.messages
    await ask(daemon, user("a"), store=True)
    with pytest.raises(openai.BadRequestError):
        await ask(daemon, user("a"), PARIS, user(" "), store=True)
    await ask(daemon, user("a"), PARIS, user("b"), store=True)
    assert len(kept(daemon)) == 1


async def test_what_was_deleted_meanwhile_begins_anew(daemon: HttpDaemon) -> None:
    await ask(daemon, user("a"), store=True)
    daemon.memory.messages.clear()
    await ask(daemon, user("a"), PARIS, user("b"), store=True)
    assert [text for _, text in kept(daemon)[0]] == ["a", "Paris.", "b", "Paris."]


async def test_what_went_on_before_is_kept_too(daemon: HttpDaemon) -> None:
    await ask(daemon, user("a"), user("b"), PARIS, user("c"), store=True)
    assert kept(daemon) == [
        [
            ("user", "a"),
            ("assistant", ""),
            ("user", "b"),
            ("assistant", "Paris."),
            ("user", "c"),
            ("assistant", "Paris."),
        ]
    ]
    (answer,) = daemon.memory.closings[-1:]
    assert answer.state is MessageState.COMPLETE and answer.usage


async def test_a_client_that_leaves_leaves_what_was_said(daemon: HttpDaemon) -> None:
    daemon.model.script = [TextDelta(text="Par"), WAIT, *END]
    async with daemon.client() as client:
        said: Any = [user("a")]
        stream = await client.chat.completions.create(model="", messages=said, store=True, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
    await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED and kept(daemon)[0][-1] == ("assistant", "Par")


async def test_a_disk_that_is_full_is_told(daemon: HttpDaemon) -> None:
    daemon.memory.open_error = EdgedError("no room")
    answer = await daemon.chat(store=True)
    assert answer.status == 500 and "no room" in answer.json()["error"]["message"]
    assert not daemon.model.requests
