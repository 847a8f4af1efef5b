"""Ask a question about a picture, of a daemon whose engine reads pictures.

python clients/python/picture.py ADDRESS PICTURE QUESTION
"""

from __future__ import annotations

import asyncio
import mimetypes
import sys
from contextlib import aclosing
from pathlib import Path

from edged.client import Client
from edged.errors import EdgedError
from edged.events import Image, Text, TextDelta


async def ask(address: str, picture: Image, question: str) -> None:
    """Print the answer as it comes."""
    async with Client(address) as client, aclosing(client.ask([picture, Text(text=question)])) as turn:
        async for event in turn:
            if isinstance(event, TextDelta):
                print(event.text, end="", flush=True)
        print()


def main() -> int:
    """0 if the question was answered, 1 with one line on stderr if not, 2 for wrong usage."""
    if len(sys.argv) != 4:
        print("usage: picture.py ADDRESS PICTURE QUESTION", file=sys.stderr)
        return 2
    address, name, question = sys.argv[1:]
    try:
        picture = Image(data=Path(name).read_bytes(), media_type=mimetypes.guess_type(name)[0] or "")
        asyncio.run(ask(address, picture, question))
    except OSError as error:
        print(f"{name}: {error.strerror}", file=sys.stderr)
        return 1
    except EdgedError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
