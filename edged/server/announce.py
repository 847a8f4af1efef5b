"""mDNS: says on the LAN that a daemon is here, and where, so that clients find it; nothing else."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from ipaddress import ip_address

from zeroconf import Error, IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

SERVICE = "_edged._tcp.local."
VERSION = "1"
"""Of what the TXT record says: the ports of `grpc` and `web`, and this."""
MAX_NAME_BYTES = 60
"""A DNS label has 63; a number is appended where the name is taken."""

_log = logging.getLogger("edged.server")


class Announcer:
    """Of one daemon; a network that cannot be told is no reason not to serve."""

    def __init__(self, *, name: str, host: str, addresses: Sequence[str], grpc_port: int, web_port: int) -> None:
        """name: shown to people. host: this daemon's alone, a label of letters and digits; resolved to `addresses`."""
        label = name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").replace(".", " ")
        self._info = AsyncServiceInfo(
            SERVICE,
            f"{label}.{SERVICE}",
            addresses=[ip_address(address).packed for address in addresses if "%" not in address],
            port=web_port,
            properties={"grpc": str(grpc_port), "web": str(web_port), "v": VERSION},
            server=f"{host}.local.",
        )
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> bool:
        """Whether somebody can hear it. A name that is taken gets a number."""
        try:
            self._zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
            await self._zeroconf.async_register_service(self._info, allow_name_change=True)
        except (OSError, RuntimeError, Error) as exc:  # RuntimeError: there is no network at all
            _log.warning("mDNS does not reach the LAN (%s): clients have to be told the address", type(exc).__name__)
            await self.close()
            return False
        return True

    async def close(self) -> None:
        """Say goodbye, so that it vanishes from lists at once. Can be called again."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is None:
            return
        with contextlib.suppress(OSError, Error):
            await zeroconf.async_unregister_all_services()
        with contextlib.suppress(OSError, Error):
            await zeroconf.async_close()
