from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.cli.attachment import audio_type, image_type
from edged.cli.output import counted, human_bytes, human_count, print_table, printable


@given(st.text())
def test_printable_keeps_all_but_control_characters(text: str) -> None:
    kept = printable(text)
    assert not [char for char in kept if unicodedata.category(char) == "Cc" and char not in "\n\t"]
    assert kept == "".join(char for char in text if unicodedata.category(char) != "Cc" or char in "\n\t")


@given(st.text(max_size=30), st.data())
def test_printable_may_be_applied_to_pieces(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    assert printable(text[:cut]) + printable(text[cut:]) == printable(text)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2**30, "1.0 GiB"), (2**42, "4096.0 GiB")]
)
def test_human_bytes(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999"), (6500, "6.5K"), (134_515_008, "135M"), (7_240_000_000, "7.24B")]
)
def test_human_count(count: int, text: str) -> None:
    assert human_count(count) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 messages"), (1, "1 message"), (2, "2 messages")])
def test_counted(count: int, text: str) -> None:
    assert counted(count, "message") == text


def test_table_lines_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG HEADING", "C"), [("one", "x", ""), ("2", "\x1b[1m", "last")])
    assert capsys.readouterr().out == "A    LONG HEADING  C\none  x\n2    [1m          last\n"


@pytest.mark.parametrize(
    ("head", "image", "audio"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png", ""),
        (b"\xff\xd8\xff\xe0", "image/jpeg", ""),
        (b"GIF89a", "image/gif", ""),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp", ""),
        (b"RIFF\0\0\0\0WAVEfmt ", "", "audio/wav"),
        (b"fLaC", "", "audio/flac"),
        (b"OggS", "", "audio/ogg"),
        (b"ID3\x04", "", "audio/mpeg"),
        (b"\xff\xfb\x90", "", "audio/mpeg"),
        (b"\xff\xfeh\0", "", ""),  # UTF-16
        (b"root:x:0", "", ""),
        (b"", "", ""),
    ],
)
def test_files_are_known_by_their_first_bytes(head: bytes, image: str, audio: str) -> None:
    assert (image_type(head), audio_type(head)) == (image, audio)
