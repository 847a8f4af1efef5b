from __future__ import annotations

import itertools
from functools import partial

import pytest
from talking import talk

from edged.errors import InvalidInput
from edged.records import OPERATOR


def all_pages(page, **arguments):
    """Every item, page by page; what `page` yields meanwhile is up to the caller."""
    token = ""
    while True:
        items, token = page(page_token=token, **arguments)
        yield items
        if not token:
            return


def test_last_used_first(store):
    first, second = talk(store, "one"), talk(store, "two")
    talk(store, "three", conversation_id=first.conversation_id)
    assert [conversation.id for conversation in store.list(reader=OPERATOR)[0]] == [
        first.conversation_id,
        second.conversation_id,
    ]


@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_pages_hold_everything_once(store, size):
    names = [talk(store, f"number {i}").conversation_id for i in range(7)]
    pages = list(all_pages(partial(store.list, reader=OPERATOR), page_size=size))
    assert [conversation.id for page in pages for conversation in page] == names[::-1]
    assert all(len(page) == size for page in pages[:-1])
    assert 0 < len(pages[-1]) <= size


def test_pages_stay_put_while_conversations_are_added_and_deleted(store):
    names = [talk(store, f"number {i}").conversation_id for i in range(9)]
    seen = []
    for page in all_pages(partial(store.list, reader=OPERATOR), page_size=2):
        seen += [conversation.id for conversation in page]
        talk(store, "a new one")
        store.delete(seen[-1], reader=OPERATOR)
    assert seen == names[::-1]


def test_search_pages_stay_put_while_messages_are_added(store):
    turns = [talk(store, f"needle {i}") for i in range(9)]
    seen = []
    for page in all_pages(partial(store.search, "needle", reader=OPERATOR), page_size=2):
        seen += [hit.message_id for hit in page]
        talk(store, "another needle")
    assert seen == [turn.user_message_id for turn in turns][::-1]


def test_default_page_is_fifty(store):
    for i in range(51):
        talk(store, f"needle {i}")
    assert [len(page) for page in all_pages(partial(store.list, reader=OPERATOR))] == [50, 1]
    assert [len(hits) for hits in all_pages(partial(store.search, "needle", reader=OPERATOR))] == [50, 1]


@pytest.mark.parametrize("size", [-1, 201])
def test_page_size_has_limits(store, size):
    for call in (partial(store.list, reader=OPERATOR), partial(store.search, "x", reader=OPERATOR)):
        with pytest.raises(InvalidInput) as caught:
            call(page_size=size)
        assert caught.value.field == "page_size"


@pytest.mark.parametrize("token", ["x", "-1", "0x1", " 1", "1_0", "f" * 40, "\ud800", "٣"])
def test_a_token_that_nobody_gave_is_refused(store, token):
    for call in (partial(store.list, reader=OPERATOR), partial(store.search, "x", reader=OPERATOR)):
        with pytest.raises(InvalidInput) as caught:
            call(page_token=token)
        assert caught.value.field == "page_token"


def test_order_follows_use_even_when_the_clock_goes_back(store, monkeypatch):
    clock = itertools.count(2_000_000_000_000_000, -1_000_000)
    monkeypatch.setattr("edged.store.store.microseconds_now", lambda: next(clock))
    names = [talk(store, f"number {i}").conversation_id for i in range(3)]
    assert [conversation.id for conversation in store.list(reader=OPERATOR)[0]] == names[::-1]
