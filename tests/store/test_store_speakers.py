"""Voices that are known: kept encrypted, and deleted without a trace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from talking import files_with, talk

from edged.errors import AlreadyExists, InvalidInput, NotFound
from edged.pipeline.ports import People
from edged.records import OPERATOR
from edged.store import AsyncStore, ConversationStore

NAME = "Xylophonia Zauberin"


def voice(seed: int = 0) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(256)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def needles(seed: int = 0) -> list[bytes]:
    """Pieces of a voiceprint as it is stored, and of the name: none occurs by chance."""
    blob = voice(seed).astype("<f4").tobytes()
    return [NAME.encode(), *(blob[start : start + 32] for start in range(0, len(blob), 32))]


def test_a_voice_comes_back_as_it_was(store, state_dir, source):
    before = datetime.now(UTC)
    added = store.add_speaker("Anna", voice(1))
    assert added.name == "Anna" and before <= added.created_at <= before + timedelta(minutes=1)
    store.add_speaker("ben", voice(2))
    store.close()
    again = ConversationStore.open(state_dir, source)
    assert [speaker.name for speaker in again.speakers()] == ["Anna", "ben"]
    assert again.speakers()[0] == added
    found = again.voiceprints()
    again.close()
    assert found.keys() == {"Anna", "ben"}
    np.testing.assert_array_equal(found["Anna"], voice(1))
    assert found["ben"].dtype == np.float32


@pytest.mark.parametrize(
    ("given", "name"),
    [("  Anna \n Maria ", "Anna Maria"), ("Jose\u0301", "José"), ("a\x1b[2Jb", "a [2Jb"), ("安娜", "安娜")],
)
def test_a_name_is_one_line_however_it_was_typed(store, given, name):
    assert store.free_name(given) == name
    assert store.add_speaker(given, voice()).name == name
    with pytest.raises(AlreadyExists):
        store.free_name(name)
    store.delete_speaker(given)
    assert store.speakers() == ()


@pytest.mark.parametrize("name", ["", " \n", "x" * 61, "a\0b", "\udcff"])
def test_names_that_will_not_do(store, name):
    for call in (store.free_name, lambda name: store.add_speaker(name, voice()), store.delete_speaker):
        with pytest.raises(InvalidInput) as raised:
            call(name)
        assert raised.value.field == "name"


@pytest.mark.parametrize("name", ["Zoë", "ZOË", "zoë"])
def test_a_name_is_given_once(store, name):
    store.add_speaker("Zoë", voice())
    with pytest.raises(AlreadyExists) as raised:
        store.add_speaker(name, voice(1))
    assert raised.value.resource == ("speaker", "Zoë")
    np.testing.assert_array_equal(store.voiceprints()["Zoë"], voice())


def test_who_is_not_known_cannot_be_deleted(store):
    store.add_speaker("Anna", voice())
    with pytest.raises(NotFound, match='did you mean "Anna"') as raised:
        store.delete_speaker("Ana")
    assert raised.value.resource == ("speaker", "Ana")
    assert len(store.speakers()) == 1


def test_nothing_of_a_voice_is_readable_in_an_encrypted_file(store, tmp_path):
    store.add_speaker(NAME, voice())
    assert not [needle for needle in needles() if files_with(tmp_path, needle)]
    store.delete_speaker(NAME)
    assert not [needle for needle in needles() if files_with(tmp_path, needle)]


def test_nothing_remains_of_a_voice_that_was_deleted(plain_store, tmp_path):
    plain_store.add_speaker("Anna", voice(1))
    plain_store.add_speaker(NAME, voice())
    for number in range(10):
        talk(plain_store, f"filler {number} " * 20, "more of it " * 50)
    assert all(files_with(tmp_path, needle) for needle in needles())  # the test can see what it looks for
    plain_store.delete_speaker(NAME)
    assert not [needle for needle in needles() if files_with(tmp_path, needle)]
    np.testing.assert_array_equal(plain_store.voiceprints()["Anna"], voice(1))


def test_conversations_and_voices_do_not_touch_each_other(store):
    kept = talk(store, "hello").conversation_id
    store.add_speaker("Anna", voice())
    store.delete(talk(store, "hello again").conversation_id, reader=OPERATOR)
    assert len(store.speakers()) == 1
    store.delete_speaker("Anna")
    assert store.get(kept, reader=OPERATOR).messages


async def test_everything_can_be_awaited(state_dir, source):
    opened = await AsyncStore.open(state_dir, source)
    people: People = opened
    assert await people.free_name(" Anna ") == "Anna"
    added = await people.add_speaker("Anna", voice())
    assert await people.speakers() == (added,)
    np.testing.assert_array_equal((await people.voiceprints())["Anna"], voice())
    await people.delete_speaker("Anna")
    assert await people.voiceprints() == {}
    await opened.close()
