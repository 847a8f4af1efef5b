"""Looking at pictures behind asyncio: in turn, bounded, and nothing is kept of what was refused."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from PIL import Image

from edged.errors import InvalidInput, MissingExtra, QueueFull, Unavailable
from edged.records import PictureSearch
from edged.vision.ocr import Ocr, ReadLine
from edged.vision.pictures import Pixels
from edged.vision.sight import MAX_KEPT, MAX_WAITING, MAX_WORDS, Sight
from tests.vision.menu import ROWS, encoded, menu, photographed
from tests.vision.test_pictures import BAD


@pytest.fixture
async def sight(ocr: Ocr) -> AsyncIterator[Sight]:
    sight = Sight(lambda: ocr)
    yield sight
    sight.close()


class Blocked(Ocr):
    """Reads when it is let."""

    def __init__(self) -> None:
        self.go, self.cancelled, self.begun = threading.Event(), threading.Event(), threading.Event()

    def read(self, pixels: Pixels, cancelled: Callable[[], bool] = lambda: False) -> list[ReadLine]:
        self.begun.set()
        while not self.go.wait(0.01):
            if cancelled():
                self.cancelled.set()
                break
        return []


async def test_a_menu_as_text_markdown_and_rows(sight: Sight) -> None:
    read = await sight.read_text(photographed(menu()))
    assert (read.width, read.height) == (1280, 960)
    assert [len(row) for row in read.rows] == [len(row) for row in ROWS]
    assert [line.text for line in read.lines] == [cell for row in read.rows for cell in row]
    assert "| Jasmine Tea 茉莉花茶 |  | 12.00 |" in read.markdown
    assert "\t38.00" in read.text
    assert all(0 <= value <= 1 for line in read.lines for corner in line.corners for value in corner)


async def test_words_are_found_where_they_stand(sight: Sight) -> None:
    data = encoded(menu())
    (tofu,) = (await sight.find(data, "mapo  TOFU")).found
    assert tofu.text == "Mapo Tofu"
    xs, ys = zip(*tofu.corners, strict=True)
    assert min(xs) == pytest.approx(80 / 1280, abs=0.015) and max(xs) == pytest.approx(282 / 1280, abs=0.03)
    assert min(ys) == pytest.approx(165 / 960, abs=0.02) and max(ys) == pytest.approx(205 / 960, abs=0.02)
    (fish,) = (await sight.find(data, "清蒸鱼")).found
    assert fish.corners[0][0] > tofu.corners[1][0] and fish.corners[0][1] > tofu.corners[3][1]
    prices = (await sight.find(data, ".00")).found
    assert len(prices) == 8
    tops = [price.corners[0][1] for price in prices]
    assert tops == sorted(tops)
    assert all(price.confidence == round(price.confidence, 4) for price in prices)
    assert await sight.find(data, "pizza") == PictureSearch(found=(), only_words=True)


@pytest.mark.parametrize("words", ["", "  ", "x" * (MAX_WORDS + 1)])
async def test_what_is_nothing_to_look_for_is_refused(sight: Sight, words: str) -> None:
    with pytest.raises(InvalidInput, match="what to look for") as raised:
        await sight.find(b"", words)
    assert raised.value.field == "words"


async def test_a_description(sight: Sight) -> None:
    seen = await sight.describe(encoded(menu()))
    assert "Mapo Tofu 麻婆豆腐 | hot" in seen.text and seen.colours and seen.codes == ()
    assert seen.read == await sight.read_text(encoded(menu()))


class Counting(Ocr):
    """Finds nothing, as often as it is asked to."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, pixels: Pixels, cancelled: Callable[[], bool] = lambda: False) -> list[ReadLine]:
        self.reads += 1
        return []


async def test_a_picture_sent_again_is_described_once() -> None:
    ocr = Counting()
    sight = Sight(lambda: ocr)
    pictures = [encoded(Image.new("RGB", (40, 40), (shade, 0, 0))) for shade in range(MAX_KEPT + 1)]
    for _ in range(3):
        assert await sight.describe(pictures[0]) is await sight.describe(pictures[0])
    assert ocr.reads == 1
    for picture in pictures:
        await sight.describe(picture)
    assert len(sight._described) == MAX_KEPT
    await sight.describe(pictures[0])
    assert ocr.reads == MAX_KEPT + 2, "the first had to make room"
    sight.close()
    with pytest.raises(Unavailable):
        await sight.describe(pictures[0])


async def test_networks_that_are_missing_are_asked_for_again() -> None:
    asked = []

    def load() -> Ocr:
        asked.append(True)
        raise MissingExtra("pip install it")

    sight = Sight(load)
    for _ in range(2):
        with pytest.raises(MissingExtra):
            await sight.read_text(encoded(Image.new("RGB", (9, 9))))
    assert len(asked) == 2
    sight.close()


async def test_no_more_than_a_few_wait() -> None:
    blocked = Blocked()
    sight = Sight(lambda: blocked)
    picture = encoded(Image.new("RGB", (9, 9)))
    waiting = [asyncio.create_task(sight.read_text(picture)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as raised:
        await sight.read_text(picture)
    assert raised.value.retry_seconds
    blocked.go.set()
    assert [read.lines for read in await asyncio.gather(*waiting)] == [()] * MAX_WAITING
    assert (await sight.read_text(picture)).text == ""
    sight.close()


async def test_who_leaves_stops_the_work() -> None:
    blocked = Blocked()
    sight = Sight(lambda: blocked)
    waiting = asyncio.create_task(sight.read_text(encoded(Image.new("RGB", (9, 9)))))
    assert await asyncio.to_thread(blocked.begun.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(blocked.cancelled.wait, 10)
    sight.close()


async def test_bad_pictures_one_after_another_take_no_memory(sight: Sight) -> None:
    picture = encoded(menu(640))
    files = [make() for make, _ in BAD.values()]
    await sight.read_text(picture)

    async def all_of_them() -> int:
        for data in files:
            with pytest.raises(InvalidInput):
                await sight.describe(data)
        await sight.read_text(picture)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = await all_of_them()
    for _ in range(3):
        last = await all_of_them()
    assert last - first < 60_000  # KiB: what a bomb would have taken is a thousand times that


async def test_half_a_picture_is_no_answer() -> None:
    blocked = Blocked()
    sight = Sight(lambda: blocked)
    looking = asyncio.create_task(sight.describe(encoded(menu())))
    await asyncio.to_thread(blocked.begun.wait)
    await asyncio.to_thread(sight.close)
    for late in (looking, sight.read_text(encoded(menu()))):
        with pytest.raises(Unavailable):
            await late
