"""Where log lines go and what they look like. They never carry what people or the model say: see content_log."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from edged.config import Config
from edged.errors import StoreError

OWN_LOG = "edged.log"
"""In the state directory: the log of a daemon that has no terminal and no journal, its last run only."""
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _JournalFormatter(logging.Formatter):
    """`<6>name: message`: the journal adds the time and takes the priority from sd-daemon(3)'s prefix."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return prefix + super().format(record).replace("\n", "\n" + prefix)


def start_logging(config: Config) -> None:
    """Log to standard error at the configured level."""
    handler = logging.StreamHandler(sys.stderr)
    if config.supervisor.journal:
        handler.setFormatter(_JournalFormatter("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=config.logging.level.upper(), handlers=[handler])


def redirect_to_own_log(state: Path) -> None:
    """Send standard error, that of C libraries too, to a file of this run: whoever started us lent no terminal."""
    try:
        log = os.open(state / OWN_LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StoreError(f"{state / OWN_LOG} cannot be written: {exc.strerror}") from exc
    os.dup2(log, 2)
    os.close(log)
