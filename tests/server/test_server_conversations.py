"""The conversation, model and status services through the client."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from edged.client import Client
from edged.errors import Code, RemoteError
from edged.events import MessageState, Role, Text
from edged.records import OPERATOR
from tests.server.conftest import Daemon
from tests.server.scripted import USAGE


async def asked(client: Client, *texts: str) -> None:
    for text in texts:
        async with aclosing(client.ask([Text(text=text)])) as turn:
            async for _ in turn:
                pass


async def test_pages(client: Client) -> None:
    await asked(client, "one", "two", "three")
    first = await client.list_conversations(page_size=2)
    second = await client.list_conversations(page_size=2, page_token=first.next_page_token)
    assert [item.id for item in (*first.conversations, *second.conversations)] == ["c1", "c2", "c3"]
    assert second.next_page_token == ""


async def test_a_transcript_is_what_is_stored(daemon: Daemon, client: Client) -> None:
    await asked(client, "Hello")
    transcript = await client.get_conversation("c1")
    assert transcript == await daemon.memory.get("c1", reader=OPERATOR)
    question, answer = transcript.messages
    assert (question.role, question.text) == (Role.USER, "Hello")
    assert (answer.state, answer.usage, answer.model) == (MessageState.COMPLETE, USAGE, "tiny")


async def test_search(client: Client) -> None:
    await asked(client, "red", "blue")
    page = await client.search("blue")
    assert [(hit.conversation.id, hit.message_id, hit.snippet) for hit in page.hits] == [("c2", "c2/user0", "blue")]


async def test_rename_and_delete(daemon: Daemon, client: Client) -> None:
    await asked(client, "Hello")
    assert (await client.rename("c1", "Greetings")).title == "Greetings"
    await client.delete("c1")
    assert daemon.memory.messages == {}


async def test_export(daemon: Daemon, client: Client) -> None:
    await asked(client, "one", "two", "three")
    everything = [transcript async for transcript in client.export()]
    assert everything == [await daemon.memory.get(name, reader=OPERATOR) for name in ("c1", "c2", "c3")]
    assert [transcript.conversation.id async for transcript in client.export(["c2"])] == ["c2"]


async def test_export_can_be_left(client: Client) -> None:
    await asked(client, "one", "two", "three")
    async with aclosing(client.export()) as transcripts:
        assert (await anext(transcripts)).conversation.id == "c1"
    await asked(client, "four")


@pytest.mark.parametrize("call", ["get_conversation", "delete", "rename", "export"])
async def test_an_unknown_conversation(client: Client, call: str) -> None:
    with pytest.raises(RemoteError) as raised:
        if call == "export":
            _ = [transcript async for transcript in client.export(["c9"])]
        else:
            await getattr(client, call)("c9", *(["title"] if call == "rename" else []))
    assert (raised.value.code, raised.value.resource) == (Code.NOT_FOUND, ("conversation", "c9"))


async def test_a_conversation_longer_than_grpcs_default_limit(daemon: Daemon, client: Client) -> None:
    await asked(client, "Hello")
    await daemon.memory.close_turn(
        "c1/assistant1",
        parts=(Text(text="x" * 5_000_000),),
        reasoning="",
        state=MessageState.COMPLETE,
        finish_reason=None,
        usage=None,
    )
    assert len((await client.get_conversation("c1")).messages[-1].text) == 5_000_000


async def test_the_default_model_comes_first(client: Client) -> None:
    assert [(model.name, model.is_default) for model in await client.list_models()] == [
        ("tiny", True),
        ("other", False),
    ]
    assert (await client.get_model()).name == "tiny"
    assert (await client.get_model("other")).disk_bytes == 2**33


async def test_an_unknown_model_names_the_nearest(client: Client) -> None:
    with pytest.raises(RemoteError, match='did you mean "tiny"') as raised:
        await client.get_model("tinny")
    assert raised.value.resource == ("model", "tinny")
