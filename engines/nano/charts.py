"""Simple bar charts and questions about them."""

from __future__ import annotations

import random

from .canvas import Look, Mark, Picture, blank, lettered, paper, photographed
from .fonts import resized
from .pictures import HUES
from .samples import Sample, Turn

_LABELS = (
    tuple("ABCDEFGH"), ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), ("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    ("North", "South", "East", "West"), ("2021", "2022", "2023", "2024", "2025"),
    ("Tea", "Milk", "Wine", "Beer", "Juice"),
)  # fmt: skip


HIGHEST, LOWEST = ("Which bar is the highest?", "哪一项最高？"), ("Which bar is the lowest?", "哪一项最低？")


def chart(rng: random.Random, look: Look) -> tuple[Picture, dict[str, int]]:
    """Two to four bars with their values above and labels below, and value by label."""
    size = rng.choice(look.sizes)
    scale = rng.choice((1, 2))
    ground, ink = paper(rng, 100)
    image, draw = blank(size, ground, scale)
    high, wide = size[0] * scale, size[1] * scale
    labels = rng.choice(_LABELS)
    count = rng.randint(2, min(4, len(labels)))
    labels = tuple(sorted(rng.sample(labels, count), key=labels.index))
    values = rng.sample(range(1, 21) if rng.random() < 0.5 else range(5, 100), count)
    font = look.fonts.pick(rng, rng.uniform(0.085, 0.12) * high)
    floor, room = 0.84 * high, 0.66 * high
    colours = [HUES[hue][0] for hue in rng.sample(list(HUES), count)]
    colours = [colours[0]] * count if rng.random() < 0.4 else colours
    slot = 0.92 * wide / count
    longest = max(draw.textlength(text, font=font) for text in (*labels, *map(str, values)))
    font = resized(font, max(9 * scale, int(font.size * min(1.0, 0.95 * slot / longest))))
    marks: list[Mark] = []
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        middle = 0.04 * wide + (index + 0.5) * slot
        top = floor - room * value / max(values)
        draw.rectangle((middle - 0.3 * slot, top, middle + 0.3 * slot, floor), fill=colours[index], outline=ink)
        marks += lettered(draw, (middle, top - 2 * scale), str(value), fill=ink, font=font, anchor="mb")
        marks += lettered(draw, (middle, floor + 3 * scale), label, fill=ink, font=font, anchor="mt")
    draw.line((0.03 * wide, floor, 0.97 * wide, floor), fill=ink, width=scale)
    return photographed(rng, image, marks, size, look, tilt=2), dict(zip(labels, values, strict=True))


def listing(rng: random.Random, look: Look) -> Sample:
    """All values in their order: nothing is asked so, but it teaches to read all of a chart."""
    picture, bars = chart(rng, look)
    ask = rng.choice(("What are the values?", "都是多少？"))
    answer = ", ".join(f"{label} {value}" for label, value in bars.items())
    return Sample(task="values", turns=(Turn(parts=(picture, ask), answer=answer),))


def comparing(rng: random.Random, look: Look) -> Sample:
    """Which bar is the highest, which the lowest: what takes longest to learn of a chart."""
    picture, bars = chart(rng, look)
    asked = [
        (rng.choice(HIGHEST), max(bars, key=bars.__getitem__)),
        (rng.choice(LOWEST), min(bars, key=bars.__getitem__)),
    ]
    rng.shuffle(asked)
    turns = [Turn(parts=(words,), answer=answer) for words, answer in asked]
    turns[0] = Turn(parts=(picture, *turns[0].parts), answer=turns[0].answer)
    return Sample(task="chart", turns=tuple(turns))


def charting(rng: random.Random, look: Look) -> Sample:
    """Which bar is the highest, how high is another?"""
    picture, bars = chart(rng, look)
    label = rng.choice(list(bars))
    highest, lowest = max(bars, key=bars.__getitem__), min(bars, key=bars.__getitem__)
    asked = [
        (rng.choice((f"What is the value of {label}?", f"How high is {label}?", f"{label}是多少？")), str(bars[label])),
        (rng.choice(HIGHEST), highest),
        (rng.choice(LOWEST), lowest),
        (rng.choice(("How many bars are there?", "有几个柱子？")), str(len(bars))),
    ]
    turns = [Turn(parts=(words,), answer=answer) for words, answer in rng.sample(asked, 2)]
    turns[0] = Turn(parts=(picture, *turns[0].parts), answer=turns[0].answer)
    return Sample(task="chart", turns=tuple(turns))
