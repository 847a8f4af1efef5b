"""What a model that reads text alone is told when somebody photographs a menu and asks about it."""

from __future__ import annotations

import pytest

from edged.engine.generate import told
from edged.events import Image, Text
from edged.pipeline.turn import TurnConductor
from edged.vision.ocr import Ocr
from edged.vision.sight import Sight
from tests.pipeline.test_turn import take
from tests.server.scripted import DictMemory, ScriptedModel
from tests.vision.menu import menu, photographed

PHOTO = Image(data=photographed(menu()), media_type="image/jpeg")


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
    ocr: Ocr, question: str, dish: str, facts: tuple[str, ...]
) -> None:
    sight, model = Sight(lambda: ocr), ScriptedModel()
    await take(TurnConductor(model, DictMemory(), 1000, vision=sight), parts=(PHOTO, Text(text=question)))
    sight.close()
    seen, asked = told(model.requests[0].messages, ())[-1].parts
    assert asked == Text(text=question) and isinstance(seen, Text)
    (row,) = [row for row in seen.text.splitlines() if dish in row]
    assert all(fact in row for fact in facts)
    assert len(row.split(" | ")) == (2 if dish == "Jasmine Tea" else 3)
