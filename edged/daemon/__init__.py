"""The composition root: the only place where concrete meets concrete.

`serve` goes through the start in the one order that works. What must come before any thread (lock, log,
guard) is here and imports little; `life` composes the rest, and is imported only after the guard.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os

from edged.config import Config
from edged.daemon.lifeline import Lifeline
from edged.daemon.lock import sole_owner
from edged.daemon.logs import OWN_LOG, redirect_to_own_log, start_logging
from edged.daemon.secret import read_secret
from edged.errors import EdgedError, MissingExtra, shortage, where_it_broke
from edged.privacy.guard import put_in_force

_log = logging.getLogger(__name__)
_ALREADY = "talk to it with `edged ask`, end it, or set EDGED_STATE_DIR to another directory"


def serve(config: Config, *, lifeline: int | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT; blocks, and restricts this process for good.

    lifeline: descriptor of one end of a socket pair whose other end the starter holds: it is told when the
    daemon serves or why it cannot, and the daemon ends when the starter does (see `edged.launch`).
    Raises EdgedError when the daemon cannot start, with nothing left behind.
    """
    line = Lifeline(lifeline)
    try:
        still_loading = _serve(config, line)
    except EdgedError as exc:
        line.failed(exc)
        raise
    except Exception as exc:
        if short := shortage(exc):
            line.failed(short)
            raise short from exc
        # The process border: a starter without our terminal must learn of it, too.
        _log.error("the daemon failed\n%s", where_it_broke(exc))  # never its message, which may quote somebody
        hint = f"{config.paths.state / OWN_LOG} shows where" if line.held else "the log shows where"
        line.failed(EdgedError(f"the daemon failed: {type(exc).__name__}; {hint}"))
        raise
    finally:
        line.close()
    if still_loading:
        # Taking the interpreter down around a thread that is inside ONNX Runtime would crash it.
        logging.shutdown()
        os._exit(0)


def _serve(config: Config, line: Lifeline) -> bool:
    """Returns whether a thread is still loading an engine that nobody waits for."""
    # Before numpy is imported: the products of speech models are too small to be shared, and idle threads spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would write a line for each handshake of a stranger
    start_logging(config)
    with sole_owner(config.paths.state, remedy=_ALREADY):
        if line.held:
            redirect_to_own_log(config.paths.state)
        secret = read_secret(config)
        guard = put_in_force(config)
        for warning in config.exposures:
            _log.warning("%s", warning)
        gc.disable()  # what is imported stays: to look for garbage in it meanwhile takes a tenth of the time
        try:
            from edged.daemon.life import live

            gc.freeze()
        except ModuleNotFoundError as exc:
            raise MissingExtra(_what_is_missing(exc.name, line)) from exc
        finally:
            gc.enable()
        return asyncio.run(live(config, guard, line, secret))


def _what_is_missing(module: str | None, line: Lifeline) -> str:
    """For somebody who wanted an answer, that there is no daemon says more than which module it lacks."""
    install = "pip install 'edged[daemon]'"
    if line.held:
        return f"no daemon is running, and this is the bare client: start one, or {install}"
    return f"{module} is not installed: {install}"
