"""`edged camera`: the switch of the running daemon's camera."""

from __future__ import annotations

import asyncio

import click

from edged.cli.connection import require_daemon, with_client
from edged.config import Config, load_config
from edged.records import CameraState, CameraStatus


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]))
def camera(switch: str) -> None:
    """Close the running daemon's camera, whoever looks through it, or allow it to open again.

    It opens only while somebody looks: `edged ask --camera`, or a paired device with the scope camera.
    """
    status = asyncio.run(_switch(load_config(), is_on=switch == "on"))
    is_ready = status.state is CameraState.CLOSED
    state = "on; it opens when somebody wants a picture" if is_ready else status.state.value
    click.echo(f"the camera is {state}")


async def _switch(config: Config, *, is_on: bool) -> CameraStatus:
    require_daemon(config)
    return await with_client(config, lambda client: client.camera.switch(is_on))
