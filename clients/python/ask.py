"""Ask the running daemon one question and print the answer as it comes.

python clients/python/ask.py unix:PATH "What is the capital of France?"

The address is the one that `edged serve` and `edged status` show.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing

from edged.client import Client
from edged.errors import EdgedError
from edged.events import Measured, Started, Text, TextDelta


async def ask(address: str, question: str) -> None:
    """Print the answer; leaving the `aclosing` block early would stop the computation."""
    async with Client(address) as client, aclosing(client.ask([Text(text=question)])) as turn:
        async for event in turn:
            match event:
                case Started(conversation_id=conversation):
                    print(f"[conversation {conversation}]", file=sys.stderr)
                case TextDelta(text=text):
                    print(text, end="", flush=True)
                case Measured(usage=usage, metrics=metrics):
                    print()
                    speed = f"{metrics.generation_tps:.0f} tokens/s"
                    print(f"[{usage.completion_tokens} tokens, {speed}]", file=sys.stderr)


def main() -> int:
    """0 if the question was answered, 1 with one line on stderr if not, 2 for wrong usage."""
    if len(sys.argv) != 3:
        print("usage: ask.py ADDRESS QUESTION", file=sys.stderr)
        return 2
    try:
        asyncio.run(ask(sys.argv[1], sys.argv[2]))
    except EdgedError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
