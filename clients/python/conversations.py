"""List the stored conversations, or those that hold some words.

python clients/python/conversations.py unix:PATH [WORDS]

The address is the one that `edged serve` and `edged status` show.
"""

from __future__ import annotations

import asyncio
import sys

from edged.client import Client
from edged.errors import EdgedError


async def show_all(client: Client) -> None:
    """Page through all conversations, the last used first."""
    token = ""
    while True:
        page = await client.list_conversations(page_size=100, page_token=token)
        for conversation in page.conversations:
            print(f"{conversation.id}  {conversation.updated_at:%Y-%m-%d %H:%M}  {conversation.title}")
        token = page.next_page_token
        if not token:
            return


async def show_matches(client: Client, words: str) -> None:
    """The newest matches, each with the words around it."""
    for hit in (await client.search(words)).hits:
        snippet = hit.snippet.replace("\x02", "*").replace("\x03", "*")
        print(f"{hit.conversation.id}  {hit.role}: {snippet}")


async def run(address: str, words: str) -> None:
    """Connect and show."""
    async with Client(address) as client:
        await (show_matches(client, words) if words else show_all(client))


def main() -> int:
    """0 if it went well, 1 with one line on stderr if not, 2 for wrong usage."""
    if len(sys.argv) < 2:
        print("usage: conversations.py ADDRESS [WORDS]", file=sys.stderr)
        return 2
    try:
        asyncio.run(run(sys.argv[1], " ".join(sys.argv[2:])))
    except EdgedError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
