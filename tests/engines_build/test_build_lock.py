"""One writer at a time, and the second one knows what it waits for."""

from __future__ import annotations

import threading
from pathlib import Path

from engines.lock import locked


def test_the_second_writer_says_that_it_waits_and_then_works(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with locked(tmp_path / "b", lambda line: (order.append(line), waiting.set())):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "a", order.append):
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)
    assert order == [f"b: waiting for another build or compilation in {tmp_path}", "first", "second"]
