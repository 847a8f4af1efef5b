"""What was seen in a picture loses nothing on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import records, wire
from edged.errors import InvalidInput
from edged.v1 import vision_pb2
from tests.test_wire import INT32, TEXT, round_trips

SHARE = st.floats(0, 1)
corners = st.lists(st.tuples(SHARE, SHARE), min_size=4, max_size=4).map(tuple)
texts = st.builds(
    records.PictureText,
    width=INT32,
    height=INT32,
    lines=st.lists(st.builds(records.TextLine, text=TEXT, confidence=SHARE, corners=corners), max_size=3).map(tuple),
    rows=st.lists(st.lists(TEXT, max_size=3).map(tuple), max_size=3).map(tuple),
    text=TEXT,
    markdown=TEXT,
)
descriptions = st.builds(
    records.PictureDescription,
    text=TEXT,
    read=texts,
    codes=st.lists(st.builds(records.VisualCode, kind=TEXT, text=TEXT, corners=corners), max_size=2).map(tuple),
    colours=st.lists(st.builds(records.ColourShare, name=TEXT, share=SHARE), max_size=2).map(tuple),
    objects=st.none()
    | st.lists(st.builds(records.SeenObject, name=TEXT, confidence=SHARE, corners=corners), max_size=2).map(tuple),
)
searches = st.builds(
    records.PictureSearch,
    found=st.lists(
        st.builds(records.FoundText, text=TEXT, confidence=SHARE, corners=corners, is_object=st.booleans()), max_size=3
    ).map(tuple),
    only_words=st.booleans(),
)


@given(texts)
def test_texts(text: records.PictureText) -> None:
    assert round_trips(wire.picture_text_to_wire, wire.picture_text_from_wire, text)


@given(descriptions)
def test_descriptions(description: records.PictureDescription) -> None:
    assert round_trips(wire.description_to_wire, wire.description_from_wire, description)


@given(searches)
def test_searches(search: records.PictureSearch) -> None:
    assert round_trips(wire.picture_search_to_wire, wire.picture_search_from_wire, search)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_place_has_four_corners(count: int) -> None:
    with pytest.raises(InvalidInput) as raised:
        found = vision_pb2.FoundText(text="a", corners=[vision_pb2.Point()] * count)
        wire.picture_search_from_wire(vision_pb2.FindResponse(found=[found]))
    assert raised.value.field == "found"
