"""The `edged` command: one module per subcommand, composed here.

Importing this loads neither grpc nor numpy: each command imports what it needs when it runs, which
keeps `--help` quick and lets `edged serve` restrict itself before anything starts threads.
"""

from __future__ import annotations

import click

from edged import __version__
from edged.cli.ask import ask
from edged.cli.backup import backup, restore
from edged.cli.bench import bench
from edged.cli.border import ErrorBorder
from edged.cli.bundle import bundle
from edged.cli.camera import camera
from edged.cli.chat import chat
from edged.cli.conversations import conversations
from edged.cli.devices import devices
from edged.cli.doctor import doctor
from edged.cli.join import daemons, join
from edged.cli.listen import listen, mute
from edged.cli.models import models
from edged.cli.ocr import ocr
from edged.cli.pair import pair
from edged.cli.phone import phone
from edged.cli.privacy import privacy
from edged.cli.rekey import rekey
from edged.cli.see import see
from edged.cli.serve import serve
from edged.cli.speakers import speakers
from edged.cli.status import status
from edged.cli.talk import talk
from edged.cli.wipe import wipe


@click.group(
    cls=ErrorBorder,
    commands=[
        chat,
        ask,
        talk,
        see,
        ocr,
        listen,
        mute,
        camera,
        phone,
        serve,
        status,
        doctor,
        models,
        conversations,
        speakers,
        pair,
        devices,
        join,
        daemons,
        privacy,
        backup,
        restore,
        rekey,
        wipe,
        bundle,
        bench,
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--debug", is_flag=True, help="Show tracebacks; may stand after the command, too.")
@click.version_option(__version__, prog_name="edged", message="%(prog)s %(version)s")
def main(debug: bool) -> None:
    """An offline assistant that stays on the device it runs on."""
