"""Damaged examples for every parser that meets bytes from outside; `make fuzz` runs the same for longer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.damage import damaged
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_example_is_refused_or_read(name: str) -> None:
    target = TARGETS[name]
    examples = target.examples()

    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.deferred(lambda: damaged(examples)) | st.binary(max_size=60))
    def feed(data: bytes) -> None:
        target(data)

    feed()


@pytest.mark.parametrize("name", TARGETS)
def test_a_whole_example_gets_as_far_as_it_can(name: str) -> None:
    for example in TARGETS[name].examples():
        TARGETS[name](example)
