from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.engine.stop_strings import StopStrings

ABC = st.text(alphabet="abc", max_size=30)


def test_holds_back_a_possible_beginning() -> None:
    stops = StopStrings(["END"])
    assert [stops.push(text) for text in ("one E", "N", "x E", "N", "D two")] == ["one ", "", "ENx ", "", ""]
    assert stops.met
    assert stops.rest == " two"
    assert stops.push("three") == stops.flush() == ""


def test_without_stop_strings_everything_passes() -> None:
    stops = StopStrings([])
    assert stops.push("anything") == "anything"
    assert not stops.met


@given(pieces=st.lists(ABC), stops=st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3))
def test_shows_exactly_what_precedes_the_first_stop(pieces: list[str], stops: list[str]) -> None:
    watcher = StopStrings(stops)
    shown = ""
    for piece in pieces:
        shown += watcher.push(piece)
        assert not any(stop in shown for stop in stops)
        if watcher.met:
            break
    shown += watcher.flush()
    text = "".join(pieces)
    # A stop string is met when its last character arrives, so of overlapping ones the first to begin may differ.
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    assert watcher.met == any(stop in text for stop in stops)
    if not watcher.met:
        assert shown == text
