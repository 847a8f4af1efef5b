"""Puts the controls in force in the one order that works, and reports on them."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass

from edged.config import Config
from edged.privacy import sandbox, seccomp, telemetry
from edged.privacy.audit import AuditHook
from edged.privacy.egress import Egress, egress_of
from edged.privacy.files import files_of, own_folders
from edged.records import Enforcement, PrivacyStatus
from edged.trust.private_files import make_private_directory

THREADED_IMPORTS = ("grpc", "numpy", "onnxruntime")
"""Modules whose import starts threads or reads the switches; they must come after the guard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What was put in force when the daemon started."""

    enforcements: tuple[Enforcement, ...]
    content_logging: bool
    hook: AuditHook

    def status(self) -> PrivacyStatus:
        """As of now."""
        return PrivacyStatus(
            enforcements=self.enforcements,
            refused_connections=sum(refusal.count for refusal in self.hook.refusals),
            content_logging=self.content_logging,
            refusals=self.hook.refusals,
        )


def put_in_force(config: Config) -> Guard:
    """Restrict this process for good. Call it once, before anything starts a thread."""
    if early := [name for name in THREADED_IMPORTS if name in sys.modules]:
        raise RuntimeError(f"the guard must come before the import of {', '.join(early)}")
    egress = egress_of(config)
    hook = AuditHook(egress)
    # These variables are of dependencies, the linker and the desktop: ours are read in edged.config.
    enforcements = [telemetry.switch_off(os.environ), _refuse_core_files()]
    if config.privacy.sandbox:
        enforcements += [*_restrict(config, egress), hook.install()]
    else:
        off = "switched off by privacy.sandbox = false"
        names = ("landlock", "landlock files", "seccomp", "audit hook")
        enforcements += [Enforcement(name=name, active=False, detail=off) for name in names]
    return Guard(enforcements=tuple(enforcements), content_logging=config.logging.content, hook=hook)


def _restrict(config: Config, egress: Egress) -> list[Enforcement]:
    """What the kernel refuses from here on."""
    for folder in own_folders(config, os.environ):
        with suppress(OSError):  # whoever needs it says why it cannot be made
            make_private_directory(folder)
    return [
        sandbox.refuse_tcp(bind_ports=egress.bind_ports, connect_ports={port for _, port in egress.connect_to}),
        sandbox.limit_files(files_of(config, os.environ)),
        seccomp.refuse_calls(egress),
    ]


def _refuse_core_files() -> Enforcement:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return Enforcement(
        name="no core files", active=True, detail="a crash writes no memory to disk: it holds conversations and the key"
    )
