"""What was seen in a picture is kept with it, found by search, and deleted with it."""

from __future__ import annotations

from dataclasses import replace

from talking import answer, ask, picture

from edged.events import Image
from edged.records import OPERATOR
from edged.store import ConversationStore

SEEN = "A picture, 9 x 9 pixels.\nMapo Tofu | hot | 38"
MENU = replace(picture(b"menu"), description=SEEN)


def test_a_description_is_kept_and_searched(store: ConversationStore) -> None:
    turn = answer(store, ask(store, MENU, "Is it spicy?"), "Yes.")
    (part, _) = store.get(turn.conversation_id, reader=OPERATOR).messages[0].parts
    assert part == MENU and turn.history[-1].parts[0] == MENU
    ((hit,), _) = store.search("Mapo", reader=OPERATOR)
    assert hit.conversation.id == turn.conversation_id
    assert hit.conversation.title == "Is it spicy?"
    store.delete(turn.conversation_id, reader=OPERATOR)
    assert store.search("Mapo", reader=OPERATOR) == ((), "")


def test_a_picture_that_nobody_described(store: ConversationStore) -> None:
    turn = ask(store, picture(b"photo"))
    (part,) = store.get(turn.conversation_id, reader=OPERATOR).messages[0].parts
    assert part == Image(data=b"photo", media_type="image/png", description="")
