"""Pictures and recordings that go with the next message: by path, by a pasted path, or from the clipboard."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edged.cli.attachment import image_type, read_medium
from edged.errors import InvalidInput
from edged.events import Audio, Image

CLIPBOARD_SECONDS = 3.0
PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
_TOOLS = (
    (("wl-paste", "--list-types"), ("wl-paste", "--type")),
    (("xclip", "-selection", "clipboard", "-o", "-t", "TARGETS"), ("xclip", "-selection", "clipboard", "-o", "-t")),
)
"""How each tool is asked what the clipboard holds, and for one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What goes with a message, and what it is called."""

    name: str
    part: Image | Audio


async def from_file(path: Path, *, max_bytes: int) -> Attachment:
    """path: without ~. Raises InvalidInput naming the file."""
    return Attachment(name=path.name, part=await asyncio.to_thread(read_medium, path, max_bytes=max_bytes))


def pasted_file(text: str) -> Path | None:
    """The file whose path was pasted, as terminals write one that is dropped on them; None for any other text."""
    line = text.strip()
    if not line or "\n" in line or len(line) > 4096 or "\0" in line:
        return None
    if line.startswith("file://"):
        line = unquote(urlsplit(line).path)
    elif line[0] in "'\"" and line[0] == line[-1]:
        line = line[1:-1]
    else:
        line = line.replace("\\ ", " ")
    if not line.startswith(("/", "~/")):
        return None
    try:
        path = Path(line).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError):
        return None


async def from_clipboard(name: str, *, max_bytes: int) -> Attachment | None:
    """The picture in the clipboard; None where it holds none, or no tool is installed. Raises InvalidInput."""
    for list_types, get in _TOOLS:
        if shutil.which(list_types[0]) is None:
            continue
        offered = (await _output_of(*list_types, max_bytes=65_536)).decode("utf-8", "replace").split()
        for media_type in PICTURE_TYPES:
            if media_type in offered:
                data = await _output_of(*get, media_type, max_bytes=max_bytes)
                if len(data) > max_bytes:
                    raise InvalidInput(
                        f"the picture in the clipboard is larger than {max_bytes} bytes (daemon.max_message_bytes)"
                    )
                if found := image_type(data[:16]):
                    return Attachment(name=name, part=Image(data=data, media_type=found))
    return None


async def _output_of(*command: str, max_bytes: int) -> bytes:
    """At most one byte more than max_bytes; empty where the tool fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout
    data = bytearray()
    try:
        async with asyncio.timeout(CLIPBOARD_SECONDS):
            while len(data) <= max_bytes and (piece := await process.stdout.read(65_536)):
                data += piece
    except TimeoutError:
        return b""
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return bytes(data[: max_bytes + 1])
