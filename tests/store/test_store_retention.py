"""What is deleted by itself: by age and size, of each class, and never what is being answered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from talking import ask, files_with, picture, talk

from edged.events import Text
from edged.records import OPERATOR, Reader
from edged.store import ConversationStore, Retention

PHONE = Reader(owner="device:phone", sees_all=False)
DAY = timedelta(days=1)


def by_device(store: ConversationStore, text: str) -> str:
    turn = store.open_turn(conversation_id="", parts=(Text(text=text),), system_prompt=None, model="tiny", reader=PHONE)
    store._answering.clear()
    return turn.conversation_id


def make_older(store: ConversationStore, name: str, age: timedelta) -> None:
    with store._writing() as db:
        db.execute(
            "UPDATE conversations SET updated_at = updated_at - ? WHERE id = ?",
            (age // timedelta(microseconds=1), name),
        )


@pytest.fixture
def kept(tmp_path):
    """Opens a plain store that keeps as it is told."""
    opened = []

    def open_with(retention: Retention) -> ConversationStore:
        opened.append(ConversationStore(tmp_path / "plain" / "edged.db", None, retention))
        return opened[-1]

    yield open_with
    for store in opened:
        store.close()


def test_nothing_is_deleted_unless_it_is_asked_for(kept):
    store = kept(Retention())
    make_older(store, talk(store, "old").conversation_id, 10_000 * DAY)
    assert store.expire() == 0
    assert store.status().conversations == 1
    assert store.status().retention == "Nothing is deleted by itself."


def test_each_class_has_its_time_and_the_soonest_counts(kept, tmp_path):
    store = kept(Retention(all=30 * DAY, devices=7 * DAY, media=2 * DAY))
    ages = {}
    for age in (1, 3, 8, 31):
        ages["written", age] = talk(store, f"written{age}").conversation_id
        ages["device", age] = by_device(store, f"device{age}")
        ages["media", age] = talk_with_picture(store, age)
    for (_, age), name in ages.items():
        make_older(store, name, age * DAY)
    assert store.expire() == 6
    left = {key for key, name in ages.items() if name in store.ids(reader=OPERATOR)}
    assert left == {("written", 1), ("written", 3), ("written", 8), ("device", 1), ("device", 3), ("media", 1)}
    for word in (b"written31", b"device8", b"device31", b"look3", b"look31", b"PIXELS8" * 100):
        assert files_with(tmp_path, word) == []
    assert "devices 7 days" in store.status().retention


def talk_with_picture(store: ConversationStore, age: int) -> str:
    turn = ask(store, f"look{age}", picture(b"PIXELS%d" % age * 200))
    store._answering.clear()
    return turn.conversation_id


def test_beyond_the_room_those_used_least_recently_go(kept):
    store = kept(Retention(max_bytes=2 * 1024**2))
    names = [ask(store, picture(b"%d" % i * 300_000)).conversation_id for i in range(12)]
    store._answering.clear()
    talk(store, "used again", conversation_id=names[0])
    count = store.expire()
    assert 0 < count < 12
    left = store.ids(reader=OPERATOR)
    assert set(left) == {names[0], *names[count + 1 :]}
    assert store.status().database_bytes <= 2 * 1024**2 + 65536
    assert store.expire() == 0


def test_devices_have_a_room_of_their_own(kept):
    store = kept(Retention(devices_max_bytes=10_000))
    own = talk(store, "mine " * 9999).conversation_id
    theirs = [by_device(store, "x" * 4000) for _ in range(5)]
    assert store.expire() == 3
    assert set(store.ids(reader=OPERATOR)) == {own, *theirs[-2:]}
    assert store.expire() == 0


def test_pictures_and_recordings_have_a_room_of_their_own(kept):
    store = kept(Retention(media_max_bytes=10_000))
    written = talk(store, "mine " * 9999).conversation_id
    seen = [talk_with_picture(store, number) for number in range(1000, 1005)]  # 2000 bytes and a word each
    talk(store, "used again", conversation_id=seen[0])
    assert store.expire() == 1
    assert set(store.ids(reader=OPERATOR)) == {written, seen[0], *seen[2:]}
    assert store.expire() == 0
    assert "those with pictures or recordings used least recently beyond 0 MiB" in store.status().retention


def test_what_is_being_answered_stays(kept):
    store = kept(Retention(all=DAY, max_bytes=1, media_max_bytes=1))
    turn = ask(store, picture(bytes(2 * 1024**2)))
    make_older(store, turn.conversation_id, 5 * DAY)
    assert store.expire() == 0
    assert store.get(turn.conversation_id, reader=OPERATOR).messages


def test_what_devices_said_is_counted_in_bytes(kept):
    """Three of them to a Chinese character."""
    store = kept(Retention(devices_max_bytes=2_500))
    for text in ("\u4e00" * 400, "\u4e8c" * 400, "\u4e09" * 400):
        by_device(store, text)
    assert store.expire() == 1
    assert store.status().conversations == 2
