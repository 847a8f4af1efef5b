"""The operating system's keyring, asked from a process of its own.

A keyring may wait for ever for a password nobody types, and its plug-ins are code that the daemon
should not hold. So `ask_keyring` runs this file as a program, with a time limit: the name of the entry as
argument, a candidate key on standard input (empty to only look one up), a JSON object on standard output.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE, ACCOUNT = "edged", "database key"


class KeyringUnavailable(Exception):
    """There is no keyring fit to hold a key, or it does not answer; says why."""


def ask_keyring(*, candidate: str, seconds: float, account: str = ACCOUNT, forget: bool = False) -> str:
    """The key stored under the name `account`, or ""; a candidate is stored first where there is none.

    forget: delete it, and return "".
    Raises KeyringUnavailable.
    """
    command = [sys.executable, "-P", __file__, account, *(["forget"] if forget else [])]
    try:
        done = subprocess.run(command, input=candidate, capture_output=True, text=True, timeout=seconds, check=True)
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired as exc:
        raise KeyringUnavailable(f"it did not answer within {seconds:g} s; is it locked?") from exc
    except (subprocess.CalledProcessError, OSError, ValueError) as exc:
        raise KeyringUnavailable("it cannot be reached") from exc
    if "error" in answer:
        raise KeyringUnavailable(answer["error"])
    return str(answer["key"])


def main() -> None:
    """Answer one request; what went wrong is part of the answer."""
    candidate = sys.stdin.read().strip()
    account, *forget = sys.argv[1:]
    try:
        answer = {"key": _forgotten_key(account) if forget else _stored_key(account, candidate)}
    except Exception as exc:  # noqa: BLE001  # plug-ins raise what they like, and this process ends here
        answer = {"error": str(exc).partition("\n")[0] or type(exc).__name__}
    json.dump(answer, sys.stdout)


def _stored_key(account: str, candidate: str) -> str:
    backend = _trustworthy_backend()
    key = backend.get_password(SERVICE, account)
    if not key and candidate:
        backend.set_password(SERVICE, account, candidate)
        key = backend.get_password(SERVICE, account)
        if key != candidate:
            raise RuntimeError("it did not keep what was stored")
    return key or ""


def _forgotten_key(account: str) -> str:
    backend = _trustworthy_backend()
    if backend.get_password(SERVICE, account):
        backend.delete_password(SERVICE, account)
    return ""


def _trustworthy_backend() -> KeyringBackend:
    """The best backend that keyring itself recommends: never a plain file, never the null backend."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    backends = chosen.backends if isinstance(chosen, ChainerBackend) else [chosen]
    for backend in backends:
        if backend.priority >= 1:  # the threshold of keyring.core.recommended
            return backend
    raise RuntimeError("no keyring service is running for this account")


if __name__ == "__main__":
    main()
