"""`edged rekey`: another key for all that is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from edged.cli.output import say
from edged.cli.passphrase import passphrase
from edged.config import Config, load_config

KINDS = ("keyring", "file", "passphrase", "credential")


@click.command()
@click.option("--key", "kind", type=click.Choice(KINDS), help="Where the new key goes; without it, as store.key says.")
@click.option(
    "--new-passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help="The new passphrase, not typed."
)
def rekey(kind: str | None, new_passphrase_file: Path | None) -> None:
    """Encrypt everything that is stored under another key; no daemon may run meanwhile.

    Killed at any moment, the old key or the new one opens all of it. Backups that were made before still need the
    old one, which is kept.
    """
    from edged.daemon.database import key_source
    from edged.daemon.lock import sole_owner
    from edged.daemon.secret import read_secret
    from edged.store.key import read_note
    from edged.store.key_places import CREDENTIAL, PASSPHRASE
    from edged.store.rekey import rekey as write_anew

    config = load_config()
    wanted = _with_key(config, kind or config.store.key)
    database = config.database
    with sole_owner(config.paths.state):
        noted = {entry.source for entry in read_note(database)} & {PASSPHRASE, CREDENTIAL}
        old = _with_key(config, noted.pop()) if len(noted) == 1 else config
        source = key_source(old, read_secret(old) if noted or old.store.key in (PASSPHRASE, CREDENTIAL) else "")
        if wanted.store.key == PASSPHRASE:
            secret = passphrase(new_passphrase_file is None, new_passphrase_file, twice=True)
        elif new_passphrase_file:
            raise click.UsageError("--new-passphrase-file goes with --key passphrase")
        else:
            secret = read_secret(wanted)
        old_key, new_key = write_anew(database, source, key_source(wanted, secret))
    click.echo(f"Everything is encrypted under a new key now: {new_key.source}.")
    if old_key.source not in (PASSPHRASE, CREDENTIAL):
        say(f"the old key is still in {old_key.source}: delete it once no backup needs it")
    if wanted.store.key != config.store.key and wanted.store.key in (PASSPHRASE, CREDENTIAL):
        say(f'set store.key = "{wanted.store.key}", or the daemon will not find it')


def _with_key(config: Config, kind: str) -> Config:
    return replace(config, store=replace(config.store, key=kind))
