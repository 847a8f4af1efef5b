"""Pair with a daemon elsewhere, whose operator runs `edged pair`, and ask it who it is (extra client).

python clients/python/pair.py FOLDER                    lists the daemons in this network
python clients/python/pair.py FOLDER HOST:PORT CODE     pairs; the key is kept in FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

from edged.client import Client
from edged.client.daemons import PairedDaemons, Pairing
from edged.client.discovery import discover
from edged.client.pairing import Comparing, pair
from edged.errors import EdgedError


async def look() -> None:
    """Anybody may say that it is a daemon; only pairing tells."""
    for found in await discover(3.0):
        print(f"{found.name}  {found.web_address}")


async def join(folder: Path, address: str, code: str) -> None:
    """Prove that the code is known, be compared, keep the certificate, and use it."""
    async with aclosing(pair(address, code=code, device_name="An example")) as steps:
        async for step in steps:
            match step:
                case Comparing(short_string=shown):
                    print(f"The daemon's operator must see {shown}.", flush=True)
                case Pairing(name=name, grpc_address=grpc_address, credentials=credentials, scopes=scopes):
                    PairedDaemons(folder).add(step)
                    print(f"Paired with {name}; may {', '.join(sorted(scopes))}.")
                    async with Client(grpc_address, credentials) as client:
                        print(f"It is edged {(await client.status()).version} at {grpc_address}.")


def main() -> int:
    """0 if it went well, 1 with one line on stderr if not, 2 for wrong usage."""
    match sys.argv[1:]:
        case [_]:
            work = look()
        case [folder, address, code]:
            work = join(Path(folder), address, code)
        case _:
            print("usage: pair.py FOLDER [HOST:PORT CODE]", file=sys.stderr)
            return 2
    try:
        asyncio.run(work)
    except EdgedError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
