"""The words that are drawn and spoken."""

from __future__ import annotations

import functools
import random
import re
from collections import Counter
from pathlib import Path

TEXTS = Path(__file__).resolve().parent.parent / "texts"

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "black", "white", "brown", "pink", "grey")
ROOMS = ("kitchen", "bedroom", "bathroom", "living room", "hall", "garage", "office", "garden")
DIRECTIONS = ("left", "right", "up", "down")
SWITCHES = ("yes", "no", "stop", "start", "on", "off")
NOUNS = tuple(
    """
    sun moon star sky sea sand rain snow wind fire ice tree leaf rose seed root grass hill lake river road bridge
    house door window roof wall floor room bed chair table lamp clock key book page pen paper desk box bag cup glass
    plate bowl fork spoon knife pot pan oven salt sugar bread butter cheese egg milk tea coffee water juice wine
    beer apple pear plum grape lemon melon peach cherry banana onion carrot potato tomato pepper garlic rice bean
    corn soup cake pie cat dog cow pig hen duck goose horse sheep goat mouse rat bird crow owl eagle fish frog snake
    bear wolf fox lion tiger deer bee ant fly spider man woman boy girl baby king queen doctor nurse teacher farmer
    baker pilot sailor hand foot head eye ear nose mouth tooth hair arm leg heart bone skin shirt shoe sock hat coat
    dress ring car bus train boat ship plane bike truck wheel engine oil gas coal gold iron steel wood stone glass
    cloth rope chain nail hammer saw drill brush paint ball game song drum flute piano guitar film radio phone
    camera screen mail stamp map flag bank shop market school church tower castle park zoo farm beach island forest
    desert city town village open closed exit enter push pull hot cold new sale free stop go wait danger caution
    fragile north south east west monday tuesday friday sunday january march april june july august hello thanks
    please sorry welcome menu price total cash left right up down yes no on off red green blue yellow black white
    big small fast slow good bad
    """.split()  # noqa: SIM905  # a list would take three hundred lines
)


def number_words(value: int) -> str:
    """0 to 99 as one says it."""
    if value < 10:
        return DIGITS[value]
    if value < 20:
        return _TEENS[value - 10]
    ten, one = divmod(value, 10)
    return _TENS[ten - 2] + (f" {DIGITS[one]}" if one else "")


@functools.cache
def common_words() -> tuple[str, ...]:
    """The words of two to eight letters in the texts that come with edged, most frequent first, behind the nouns."""
    text = " ".join(path.read_text(encoding="utf-8") for path in sorted(TEXTS.glob("*.txt"))).lower()
    counted = Counter(re.findall(r"\b[a-z]{2,8}\b", text))
    return tuple(dict.fromkeys((*NOUNS, *(word for word, _ in counted.most_common(3000)))))


def word(rng: random.Random) -> str:
    """A word or what looks like one, in some case."""
    kind = rng.random()
    if kind < 0.45:
        text = rng.choice(common_words())
    elif kind < 0.6:
        text = rng.choice(NOUNS)
    else:
        text = pseudo_word(rng)
    case = rng.random()
    return text if case < 0.55 else text.capitalize() if case < 0.8 else text.upper()


def pseudo_word(rng: random.Random) -> str:
    """Syllables, or letters in any order: reading must not become guessing."""
    if rng.random() < 0.6:
        onsets = (
            "",
            "b",
            "br",
            "c",
            "ch",
            "d",
            "f",
            "g",
            "gr",
            "h",
            "j",
            "k",
            "l",
            "m",
            "n",
            "p",
            "r",
            "s",
            "st",
            "t",
            "v",
            "w",
            "z",
        )
        syllables = (
            rng.choice(onsets) + rng.choice("aeiouy") + rng.choice("bcdfgklmnprstvxz ").strip() for _ in range(3)
        )
        return "".join(list(syllables)[: rng.randint(1, 3)])
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(1, 6)))


def number(rng: random.Random) -> str:
    """Digits; now and then a price, a time or a share."""
    kind = rng.random()
    if kind < 0.8:
        return str(rng.randrange(10 ** rng.randint(1, 4)))
    if kind < 0.9:
        return f"{rng.randrange(100)}.{rng.randrange(10)}{rng.choice(('', '0', '5'))}"
    return f"{rng.randrange(24)}:{rng.randrange(60):02}" if kind < 0.96 else f"{rng.randrange(101)}%"
