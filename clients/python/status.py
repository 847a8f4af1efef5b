"""Show what a daemon does and enforces, and who is paired with it.

python clients/python/status.py ADDRESS
"""

from __future__ import annotations

import asyncio
import sys

from edged.client import Client
from edged.errors import Code, EdgedError


async def show(address: str) -> None:
    """Devices are for the operator, and for devices with the scope admin."""
    async with Client(address) as client:
        status = await client.status()
        engine, privacy = status.engine, status.privacy
        print(f"edged {status.version}: {status.state}, {engine.model} on {engine.device}")
        print(f"{engine.active_requests} answering, {engine.queued_requests} waiting")
        for control in privacy.enforcements:
            print(f"{'on ' if control.active else 'OFF'} {control.name}: {control.detail}")
        print(f"{privacy.refused_connections} connections refused")
        try:
            devices = await client.devices.list()
        except EdgedError as error:
            if error.code is not Code.PERMISSION_DENIED:
                raise
        else:
            for device in devices:
                seen = f"{device.last_seen_at:%Y-%m-%d %H:%M}" if device.last_seen_at else "never"
                print(f"{device.name}: may {', '.join(sorted(device.scopes))}, last seen {seen}")
            print(f"{len(devices)} devices paired")


def main() -> int:
    """0 if it went well, 1 with one line on stderr if not, 2 for wrong usage."""
    if len(sys.argv) != 2:
        print("usage: status.py ADDRESS", file=sys.stderr)
        return 2
    try:
        asyncio.run(show(sys.argv[1]))
    except EdgedError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
