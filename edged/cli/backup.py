"""`edged backup` and `edged restore`: all that is stored in one encrypted file, and back."""

from __future__ import annotations

from pathlib import Path

import click

from edged.cli.output import counted, human_bytes, print_json, printable, say
from edged.cli.passphrase import passphrase, passphrase_options
from edged.config import load_config

_file = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_file)
@passphrase_options("a passphrase of the backup's own")
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
def backup(file: Path, asks: bool, passphrase_file: Path | None, json_wanted: bool) -> None:
    """Write conversations, voices, devices and the audit log into FILE, encrypted; a running daemon goes on meanwhile.

    Without a passphrase the key of the database opens the backup, which does not hold it: keep a copy of that
    elsewhere. Engines, configuration and the certificates of paired devices are not in it.
    """
    from edged.daemon.database import key_source
    from edged.daemon.secret import read_secret
    from edged.store.backup import back_up

    config = load_config()
    own = passphrase(asks, passphrase_file, twice=True)
    source = key_source(config, read_secret(config))
    made = back_up(config.database, source, file.absolute(), passphrase=own)
    if json_wanted:
        print_json(made)
        return
    key = "its passphrase" if own else f"the key in {made.key_source}, which is not in it"
    click.echo(
        printable(
            f"{counted(made.conversations, 'conversation')}, {counted(made.messages, 'message')}, "
            f"{human_bytes(made.bytes)} in {file}: "
            f"opened by {key}"
        )
    )


@click.command()
@click.argument("file", type=_file)
@click.option("--replace", is_flag=True, help="Delete what is stored now.")
@passphrase_options("the passphrase that the backup was made with")
def restore(file: Path, replace: bool, asks: bool, passphrase_file: Path | None) -> None:
    """Put the backup FILE in the place of what is stored; no daemon may run meanwhile.

    It is encrypted anew under the key that a new database gets here (store.key).
    """
    from edged.daemon.database import key_source
    from edged.daemon.lock import sole_owner
    from edged.daemon.secret import read_secret
    from edged.store.backup import restore as put_back

    config = load_config()
    own = passphrase(asks, passphrase_file, twice=False)
    with sole_owner(config.paths.state):
        source = key_source(config, read_secret(config, is_new=True))
        done = put_back(file.absolute(), config.database, source, passphrase=own, replace=replace)
    say(f"restored {counted(done.conversations, 'conversation')}, {counted(done.messages, 'message')} from {file}")
