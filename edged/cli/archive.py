"""Signed archives of conversations, written and read by this process itself, beside the daemon if one runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli.output import counted, say
from edged.config import Config
from edged.daemon.lock import sole_owner
from edged.errors import AlreadyExists, AlreadyRunning, InvalidInput, Unavailable

if TYPE_CHECKING:
    from edged.store.transfer import Transfer


def export_archive(config: Config, conversation_ids: Sequence[str], file: Path) -> None:
    """Write the conversations of these ids, or all, into a new file. Raises AlreadyExists, InvalidInput, NotFound."""
    from edged.trust.archive import write_archive

    if file.exists():
        raise AlreadyExists(f"{file} exists already: name another file")
    with _transfer(config) as transfer:
        seed = transfer.signing_seed()
        try:
            count, fingerprint = write_archive(file, transfer.transcripts(conversation_ids), seed)
        except OSError as exc:
            file.unlink(missing_ok=True)
            raise InvalidInput(f"{file} cannot be written: {exc.strerror}") from exc
        except BaseException:
            file.unlink(missing_ok=True)
            raise
    say(f"{counted(count, 'conversation')} in {file}, signed by {fingerprint}; it is not encrypted")


def import_archive(config: Config, file: Path, signer: str) -> None:
    """Store what an archive of this daemon's holds, or one that `signer` has signed.

    signer: fingerprint of another daemon's key. Conversations that are there stay as they are; those of another
    daemon become the operator's. Raises InvalidInput.
    """
    from edged.trust.archive import fingerprint, open_archive
    from edged.trust.signatures import is_fingerprint

    with open_archive(file) as content, _transfer(config) as transfer:
        own = content.fingerprint == fingerprint(transfer.signing_seed())
        if not own and not is_fingerprint(signer, content.fingerprint):
            raise InvalidInput(
                f"{file} is signed by {content.fingerprint}, not by this daemon: compare that with what its export "
                f"said, then add --signed-by {content.fingerprint}"
            )
        stored = 0
        for transcript in content.transcripts():
            conversation = transcript.conversation if own else replace(transcript.conversation, owner="")
            stored += transfer.insert(replace(transcript, conversation=conversation))
    say(f"{counted(stored, 'conversation')} stored, {len(content) - stored} were there already")


@contextmanager
def _transfer(config: Config) -> Iterator[Transfer]:
    """Beside a daemon that serves, or as the only one: never beside what changes the key."""
    from edged.daemon.database import key_source
    from edged.daemon.secret import read_secret
    from edged.launch import listens
    from edged.store.transfer import transfer

    source = key_source(config, read_secret(config))
    try:
        with sole_owner(config.paths.state), transfer(config.database, source) as opened:
            yield opened
        return
    except AlreadyRunning as exc:
        if not listens(config.socket_path):
            raise Unavailable("the database is being changed by another program: try again when it has ended") from exc
    with transfer(config.database, source) as opened:
        yield opened
