"""`edged wipe`: nothing that was said is left."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from edged.cli.output import say
from edged.config import Config, load_config

ENGINES, TRUST = "engines", "trust"


@click.command()
@click.option("--everything", is_flag=True, help="Also engines in the state directory and the keys of paired devices.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def wipe(everything: bool, yes: bool) -> None:
    """Destroy the keys of this account, then all conversations, voices, devices and logs; no daemon may run meanwhile.

    Backups stay, but no key opens them afterwards unless they have a passphrase or you kept a copy of the key.
    """
    from edged.daemon.database import key_source
    from edged.daemon.lock import LOCK_FILE, sole_owner
    from edged.store.wiping import places, wipe_store

    config = load_config()
    source, database = key_source(config, ""), config.database
    with sole_owner(config.paths.state):
        keys, in_keyring = places(database, source)
        _confirm(config, [*map(str, keys), *(["the keyring"] if in_keyring else [])], everything=everything, yes=yes)
        wipe_store(database, source)
        kept = {LOCK_FILE} if everything else {LOCK_FILE, ENGINES, TRUST}
        for item in config.paths.state.iterdir():
            if item.name not in kept:
                _remove(item)
    click.echo("Wiped.")
    if source.file.exists():
        say(
            f"no database was here, so {source.file} stays, which other databases may need: with it backups can be read"
        )
    say("flash media and snapshots may keep old blocks for a while; without the key they cannot be read")
    if config.store.key == "credential":
        say("the systemd credential edged.key still holds the key: remove its file")


def _confirm(config: Config, keys: list[str], *, everything: bool, yes: bool) -> None:
    say(f"this destroys what is stored in {config.paths.state}{' with its engines' if everything else ''}")
    if keys:
        say(f"this destroys the database keys in {', '.join(keys)}, also for other databases of this account")
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("stdin is no terminal to ask on: add --yes")
    click.confirm("Wipe all of it for good?", abort=True)


def _remove(item: Path) -> None:
    """Files of this folder, logs among them, and private keys are overwritten; what else is there was encrypted."""
    from edged.store.rewrite import wipe as overwrite

    if item.is_dir() and not item.is_symlink():
        for key in item.glob("*.key"):
            overwrite(key)
        shutil.rmtree(item)
    elif item.is_file() and not item.is_symlink():
        overwrite(item)
    else:
        item.unlink()
