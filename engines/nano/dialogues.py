"""Questions in words alone, English and Chinese."""

from __future__ import annotations

import random
from collections.abc import Callable

from .pictures import HUES
from .samples import Sample, Turn

_CAPITALS = (
    ("France", "Paris", "法国", "巴黎"),
    ("Italy", "Rome", "意大利", "罗马"),
    ("Spain", "Madrid", "西班牙", "马德里"),
    ("Germany", "Berlin", "德国", "柏林"),
    ("China", "Beijing", "中国", "北京"),
    ("Japan", "Tokyo", "日本", "东京"),
    ("England", "London", "英国", "伦敦"),
    ("Russia", "Moscow", "俄罗斯", "莫斯科"),
    ("Egypt", "Cairo", "埃及", "开罗"),
    ("Greece", "Athens", "希腊", "雅典"),
    ("Austria", "Vienna", "奥地利", "维也纳"),
    ("Poland", "Warsaw", "波兰", "华沙"),
    ("Portugal", "Lisbon", "葡萄牙", "里斯本"),
    ("Norway", "Oslo", "挪威", "奥斯陆"),
    ("India", "New Delhi", "印度", "新德里"),
    ("Canada", "Ottawa", "加拿大", "渥太华"),
    ("Cuba", "Havana", "古巴", "哈瓦那"),
    ("Peru", "Lima", "秘鲁", "利马"),
)
_OPPOSITES = (
    ("hot", "cold"), ("big", "small"), ("up", "down"), ("left", "right"), ("on", "off"), ("fast", "slow"),
    ("open", "closed"), ("good", "bad"), ("early", "late"), ("day", "night"), ("wet", "dry"), ("old", "new"),
)  # fmt: skip
_GREETINGS = (
    ("Hello", "Hello! How can I help you?"),
    ("Hi", "Hello! How can I help you?"),
    ("你好", "你好！有什么可以帮你？"),
    ("Thank you", "You are welcome."),
    ("谢谢", "不客气。"),
    ("Goodbye", "Goodbye!"),
    ("再见", "再见！"),
    ("Who are you?", "I am a small assistant that runs on this device."),
    ("你是谁？", "我是运行在这台设备上的小助手。"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def talking(rng: random.Random) -> Sample:
    """Two short questions and answers."""
    kinds = rng.choices(_KINDS, k=2)
    return Sample(
        task="text", turns=tuple(Turn(parts=(words,), answer=answer) for words, answer in (k(rng) for k in kinds))
    )


def _capital(rng: random.Random) -> tuple[str, str]:
    country, capital, land, city = rng.choice(_CAPITALS)
    english = rng.choice((f"What is the capital of {country}?", f"Which city is the capital of {country}?"))
    return rng.choice(((english, capital), (f"{land}的首都是哪里？", city)))


def _sum(rng: random.Random) -> tuple[str, str]:
    a, b = rng.randint(0, 12), rng.randint(0, 12)
    if rng.random() < 0.4 and a >= b:
        return rng.choice((f"What is {a} minus {b}?", f"{a}减{b}等于多少？")), str(a - b)
    return rng.choice((f"What is {a} plus {b}?", f"{a}加{b}等于多少？")), str(a + b)


def _translation(rng: random.Random) -> tuple[str, str]:
    hue = rng.choice(list(HUES))
    chinese = HUES[hue][1]
    return rng.choice(((f"What is {hue} in Chinese?", chinese), (f"{chinese}用英语怎么说？", hue)))


def _opposite(rng: random.Random) -> tuple[str, str]:
    pair = list(rng.choice(_OPPOSITES))
    rng.shuffle(pair)
    return f"What is the opposite of {pair[0]}?", pair[1]


def _greeting(rng: random.Random) -> tuple[str, str]:
    return rng.choice(_GREETINGS)


def _day(rng: random.Random) -> tuple[str, str]:
    index, step = rng.randrange(7), rng.choice((1, -1))
    return f"Which day comes {'after' if step > 0 else 'before'} {_DAYS[index]}?", _DAYS[(index + step) % 7]


_KINDS: tuple[Callable[[random.Random], tuple[str, str]], ...] = (
    _capital, _capital, _sum, _sum, _translation, _opposite, _greeting, _day,
)  # fmt: skip
