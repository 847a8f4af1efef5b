"""Photographed menus in the article's sense: dish, price, spicy or not."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .canvas import Look, Picture, blank, lettered, paper, photographed
from .fonts import resized
from .pictures import READING
from .samples import Sample, Turn

_MANNERS = (
    "Steamed", "Fried", "Roast", "Grilled", "Braised", "Egg Fried", "Hot and Sour", "Sweet and Sour", "Crispy", "Cold",
    "Smoked", "Sesame", "Ginger", "Garlic", "Lemon", "Black Pepper", "Mapo", "Kung Pao", "Sichuan", "Dry Pot",
)  # fmt: skip
_DISHES = (
    "Fish", "Rice", "Soup", "Tofu", "Chicken", "Beef", "Pork", "Duck", "Noodles", "Dumplings", "Shrimp", "Eggplant",
    "Cabbage", "Beans", "Lamb", "Potato", "Mushrooms", "Spinach", "Crab", "Ribs",
)  # fmt: skip
_TITLES = (
    "Lotus Kitchen", "Golden Bowl", "Menu", "Red Lantern", "Tea House", "Lucky Star", "Noodle Bar", "Jade Garden",
    "Lunch",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Dish:
    """A line of a menu."""

    name: str
    price: int
    is_spicy: bool

    @property
    def words(self) -> str:
        """All but the price."""
        return f"{self.name}{' (spicy)' if self.is_spicy else ''}"


def menu(rng: random.Random, look: Look) -> tuple[Picture, str, list[Dish]]:
    """Two to four dishes under a title, as a photograph."""
    size = rng.choice(look.sizes)
    scale = 2
    ground, ink = paper(rng, 110)
    image, draw = blank(size, ground, scale)
    high, wide = size[0] * scale, size[1] * scale
    names = rng.sample([f"{manner} {dish}" for manner in _MANNERS for dish in _DISHES], rng.randint(2, 4))
    prices = rng.sample(range(5, 100), len(names))
    dishes = [
        Dish(name=name, price=price, is_spicy=rng.random() < 0.4) for name, price in zip(names, prices, strict=True)
    ]
    in_columns = rng.random() < 0.4
    lines = [dish.words if in_columns else f"{dish.words} {dish.price}" for dish in dishes]
    step = high * rng.uniform(0.8, 0.94) / (len(dishes) + 1)
    font = look.fonts.pick(rng, min(0.75 * step, 0.11 * high))
    room = (0.8 if in_columns else 0.92) * wide
    longest = max(draw.textlength(line, font=font) for line in lines)
    font = resized(font, max(9 * scale, int(font.size * min(1.0, room / longest))))
    left = rng.uniform(0.02, 0.06) * wide
    title = rng.choice(_TITLES)
    marks = lettered(draw, (left, 0.3 * step), title, fill=ink, font=font)
    for index, (line, dish) in enumerate(zip(lines, dishes, strict=True)):
        y = (index + 1.15) * step
        marks += lettered(draw, (left, y), line, fill=ink, font=font)
        if in_columns:
            marks += lettered(draw, (0.97 * wide, y), str(dish.price), fill=ink, font=font, anchor="ra")
    return photographed(rng, image, marks, size, look, tilt=3), title, dishes


def ordering(rng: random.Random, look: Look) -> Sample:
    """How much is a dish, is it spicy, which one costs so much?"""
    picture, _, dishes = menu(rng, look)
    turns = [Turn(parts=(words,), answer=answer) for words, answer in _asked(rng, dishes)]
    turns[0] = Turn(parts=(picture, *turns[0].parts), answer=turns[0].answer)
    return Sample(task="menu", turns=tuple(turns))


def reading(rng: random.Random, look: Look) -> Sample:
    """What is written, line by line: nothing is asked so, but it teaches to read all of a menu."""
    picture, title, dishes = menu(rng, look)
    lines = [title, *(f"{dish.words} {dish.price}" for dish in dishes)]
    return Sample(task="lines", turns=(Turn(parts=(picture, rng.choice(READING)), answer="\n".join(lines)),))


def finding(rng: random.Random, look: Look) -> Sample:
    """Which dishes cost so much: what takes longest to learn of a menu."""
    picture, _, dishes = menu(rng, look)
    asked = [(_which(rng, dish), dish.name) for dish in rng.sample(dishes, 2)]
    turns = [Turn(parts=(words,), answer=answer) for words, answer in asked]
    turns[0] = Turn(parts=(picture, *turns[0].parts), answer=turns[0].answer)
    return Sample(task="menu", turns=tuple(turns))


def _which(rng: random.Random, dish: Dish) -> str:
    return f"哪道菜{dish.price}元？" if rng.random() < 0.3 else f"Which dish costs {dish.price}?"


def _asked(rng: random.Random, dishes: list[Dish]) -> list[tuple[str, str]]:
    """Three of what can be asked."""
    priced, judged, found = rng.choice(dishes), rng.choice(dishes), rng.choice(dishes)
    judgement = ("Yes", "No", "辣", "不辣")
    chinese = rng.random() < 0.3
    asked = [
        (f"{priced.name}多少钱？" if chinese else f"How much is the {priced.name}?", str(priced.price)),
        (
            f"{judged.name}辣吗？" if chinese else f"Is the {judged.name} spicy?",
            judgement[2 * chinese + (not judged.is_spicy)],
        ),
        (f"哪道菜{found.price}元？" if chinese else f"Which dish costs {found.price}?", found.name),
        ("有几道菜？" if chinese else "How many dishes are there?", str(len(dishes))),
    ]
    return rng.sample(asked[:3], 2) + ([asked[3]] if rng.random() < 0.3 else [])
