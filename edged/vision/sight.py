"""Reading pictures behind asyncio: the networks are loaded by the first picture and work in a thread of their own."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from edged.errors import InvalidInput, QueueFull, Unavailable
from edged.records import FoundText, PictureDescription, PictureSearch, PictureText, TextLine
from edged.vision.codes import read_codes
from edged.vision.colours import common_colours
from edged.vision.corners import normalized_corners
from edged.vision.description import described
from edged.vision.finding import named, occurrences
from edged.vision.heap import give_back_memory
from edged.vision.layout import arranged
from edged.vision.markdown import as_markdown, as_text
from edged.vision.objects import ObjectDetector
from edged.vision.ocr import Ocr, ReadLine
from edged.vision.pictures import Picture, begin_picture

MAX_WAITING = 8
"""Pictures that may wait or be looked at; one more is refused."""
MAX_KEPT = 16
"""Descriptions in memory, those asked for last: programs send a conversation's pictures again with each question."""
TIDY_SECONDS = 1.0
"""After a picture, until an error that refused it is let go as well, with all that its traceback held."""
MAX_WORDS = 200
"""Characters of what is looked for."""
Cancelled = Callable[[], bool]
Result = TypeVar("Result")


class Sight:
    """One picture at a time; who asks while others wait is served in turn."""

    def __init__(
        self, load: Callable[[], Ocr], load_objects: Callable[[], ObjectDetector | None] = lambda: None
    ) -> None:
        """load: raises MissingExtra or ArtefactError, which whatever looks at a picture then raises.

        load_objects: None where nothing is installed that knows any. Raises ArtefactError.
        """
        self._load = load
        self._load_objects = load_objects
        self._ocr: Ocr | None = None
        self._objects: ObjectDetector | None = None
        self._described: OrderedDict[bytes, PictureDescription] = OrderedDict()
        """By the SHA-256 of the file."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edged-sight")
        self._waiting = 0
        self._is_closed = threading.Event()

    async def read_text(self, data: bytes, *, field: str = "picture") -> PictureText:
        """All text in an encoded picture, in reading order.

        Raises InvalidInput naming the request's field, QueueFull, MissingExtra, ArtefactError, Unavailable.
        Cancelling it stops the work at the next line of text.
        """
        return await self._look(data, field, self._text)

    async def describe(self, data: bytes, *, field: str = "picture") -> PictureDescription:
        """What can be said of the picture. Raises what `read_text` raises."""
        self._require_open()
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).digest())
        description = self._described.get(digest)
        if description is None:
            description = await self._look(data, field, self._description)
        self._described[digest] = description
        self._described.move_to_end(digest)
        if len(self._described) > MAX_KEPT:
            self._described.popitem(last=False)
        return description

    async def find(self, data: bytes, words: str, *, field: str = "picture") -> PictureSearch:
        """Where in the picture these words stand, and the objects of that name.

        Raises what `read_text` raises.
        """
        if not words.strip() or len(words) > MAX_WORDS:
            raise InvalidInput(f"say in 1 to {MAX_WORDS} characters what to look for", field="words")
        return await self._look(data, field, lambda picture, cancelled: self._found(picture, words, cancelled))

    def close(self) -> None:
        """Stop working, as soon as the current line is read."""
        self._is_closed.set()
        self._thread.shutdown(cancel_futures=True)

    async def _look(self, data: bytes, field: str, work: Callable[[Picture, Cancelled], Result]) -> Result:
        with self._turn() as cancelled:
            try:
                return await self._seen(data, field, work, cancelled)
            finally:
                self._give_back()
                asyncio.get_running_loop().call_later(TIDY_SECONDS, self._give_back)

    async def _seen(
        self, data: bytes, field: str, work: Callable[[Picture, Cancelled], Result], cancelled: Cancelled
    ) -> Result:
        picture = await asyncio.wrap_future(begin_picture(data, field=field))
        self._require_open()
        result = await asyncio.get_running_loop().run_in_executor(self._thread, work, picture, cancelled)
        self._require_open()  # half a picture is no answer
        return result

    def _give_back(self) -> None:
        if not self._is_closed.is_set():
            self._thread.submit(give_back_memory)

    def _require_open(self) -> None:
        if self._is_closed.is_set():
            raise Unavailable("the daemon is shutting down and looks at no more pictures")

    @contextmanager
    def _turn(self) -> Iterator[Cancelled]:
        if self._waiting >= MAX_WAITING:
            raise QueueFull("too many pictures are being looked at; try again soon", retry_seconds=2.0)
        left = threading.Event()
        self._waiting += 1
        try:
            yield lambda: left.is_set() or self._is_closed.is_set()
        finally:
            left.set()
            self._waiting -= 1

    def _rows(self, picture: Picture, cancelled: Cancelled) -> list[list[ReadLine]]:
        if self._ocr is None:
            self._ocr = self._load()
            self._objects = self._load_objects()
        return [] if cancelled() else arranged(self._ocr.read(picture.pixels, cancelled))

    def _text(self, picture: Picture, cancelled: Cancelled) -> PictureText:
        return _picture_text(picture, self._rows(picture, cancelled))

    def _description(self, picture: Picture, cancelled: Cancelled) -> PictureDescription:
        read = self._text(picture, cancelled)
        codes, colours = read_codes(picture.pixels), common_colours(picture.pixels)
        objects = self._objects.find(picture.pixels) if self._objects else None
        return PictureDescription(
            text=described(read, codes, colours, objects), read=read, codes=codes, colours=colours, objects=objects
        )

    def _found(self, picture: Picture, words: str, cancelled: Cancelled) -> PictureSearch:
        height, width = picture.pixels.shape[:2]
        lines = [line for row in self._rows(picture, cancelled) for line in row]
        found = [
            FoundText(text=text, confidence=round(line.confidence, 4), corners=normalized_corners(quad, width, height))
            for line, text, quad in occurrences(lines, words)
        ]
        if self._objects:
            found += named(self._objects.find(picture.pixels), words)
        return PictureSearch(found=tuple(found), only_words=self._objects is None)


def _picture_text(picture: Picture, rows: Sequence[Sequence[ReadLine]]) -> PictureText:
    height, width = picture.pixels.shape[:2]
    return PictureText(
        width=picture.width,
        height=picture.height,
        lines=tuple(
            TextLine(
                text=line.text,
                confidence=round(line.confidence, 4),
                corners=normalized_corners(line.quad, width, height),
            )
            for row in rows
            for line in row
        ),
        rows=tuple(tuple(line.text for line in row) for row in rows),
        text=as_text(rows),
        markdown=as_markdown(rows),
    )
