"""What a model that reads text alone is told when somebody photographs a menu and asks about it, over a real socket."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from edged.client import Client
from edged.engine.generate import told
from edged.events import Image, Text
from edged.vision.ocr import Ocr
from edged.vision.sight import Sight
from tests.server.conftest import Daemon
from tests.vision.menu import menu, photographed

PHOTO = Image(data=photographed(menu()), media_type="image/jpeg")


@pytest.fixture
async def daemon(ocr: Ocr) -> AsyncIterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="edged") as folder:
        sight = Sight(lambda: ocr)
        daemon = Daemon(Path(folder) / "s", sight=sight)
        await daemon.server.start(daemon.socket)
        daemon.server.serve()
        yield daemon
        await daemon.server.drain(0)
        sight.close()


@pytest.mark.parametrize(
    ("question", "dish", "facts"),
    [
        ("Is the Mapo Tofu spicy?", "Mapo Tofu", ("hot", "辣")),
        ("How much is the steamed fish?", "Steamed Fish", ("62.00",)),
        ("Which rice is there, and is it mild?", "Egg Fried Rice", ("mild", "不辣", "25.00")),
        ("水煮牛肉多少钱?", "水煮牛肉", ("very hot", "58.00")),
        ("What does tea cost?", "Jasmine Tea", ("12.00",)),
    ],
)
async def test_the_row_that_answers_is_in_the_prompt(
    daemon: Daemon, question: str, dish: str, facts: tuple[str, ...]
) -> None:
    async with Client(daemon.address) as client, aclosing(client.ask([PHOTO, Text(text=question)])) as turn:
        async for _ in turn:
            pass
    seen, asked = told(daemon.model.requests[0].messages, ())[-1].parts
    assert asked == Text(text=question) and isinstance(seen, Text)
    (row,) = [row for row in seen.text.splitlines() if dish in row]
    assert all(fact in row for fact in facts)
    assert len(row.split(" | ")) == (2 if dish == "Jasmine Tea" else 3)
