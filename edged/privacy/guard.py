"""Puts the controls in force in the one order that works, and reports on them."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass

from edged.config import Config
from edged.privacy import sandbox, telemetry
from edged.privacy.audit import AuditHook
from edged.privacy.egress import egress_of
from edged.records import Enforcement, PrivacyStatus

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
            refused_connections=self.hook.refused,
            content_logging=self.content_logging,
        )


def put_in_force(config: Config) -> Guard:
    """Restrict this process for good. Call it once, before anything starts a thread."""
    if early := [name for name in THREADED_IMPORTS if name in sys.modules]:
        raise RuntimeError(f"the guard must come before the import of {', '.join(early)}")
    egress = egress_of(config)
    hook = AuditHook(egress)
    # The environment is written here and read in edged.config: these variables are not ours.
    enforcements = [telemetry.switch_off(os.environ), _refuse_core_files()]
    if config.privacy.sandbox:
        connect_ports = {port for _, port in egress.connect_to}
        landlock = sandbox.refuse_tcp(bind_ports=egress.bind_ports, connect_ports=connect_ports)
        enforcements += [landlock, hook.install()]
    else:
        off = "switched off by privacy.sandbox = false"
        enforcements += [Enforcement(name=name, active=False, detail=off) for name in ("landlock", "audit hook")]
    return Guard(enforcements=tuple(enforcements), content_logging=config.logging.content, hook=hook)


def _refuse_core_files() -> Enforcement:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return Enforcement(
        name="no core files", active=True, detail="a crash writes no memory to disk: it holds conversations and the key"
    )
