"""The rows of `edged doctor` about what computes: each candidate, the one that is used, and why not a better one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edged.cli.check import Check, Verdict
from edged.config import Config
from edged.errors import EdgedError

if TYPE_CHECKING:
    from edged.engine.device_choice import Candidate
    from edged.engine.gpu import Gpus


def device_checks(config: Config) -> Iterator[Check]:
    """For the default engine; the engine itself is not loaded."""
    from edged.engine.device_choice import candidates
    from edged.engine.gpu import find_gpus
    from edged.engine.installed import find_engine
    from edged.engine.manifest import read_manifest

    try:
        folder = find_engine(config.paths.engines, config.engine.default)
        manifest = read_manifest(folder)
    except EdgedError:
        yield Check(name="device", verdict=Verdict.WARN, detail="not checked without the default engine")
        return
    gpus = find_gpus()
    found = candidates(folder, manifest, config.engine, gpus)
    used = next(one for one in found if not one.obstacle) if config.engine.device == "auto" else None
    for candidate in found:
        is_used = candidate is used or candidate.device == config.engine.device
        yield _row(candidate, config.engine.device, gpus, is_used=is_used, is_slow=used is found[-1])


def _row(candidate: Candidate, wanted: str, gpus: Gpus, *, is_used: bool, is_slow: bool) -> Check:
    """`is_slow`: the CPU computes, though nobody chose it."""
    verdict = Verdict.OK
    if candidate.obstacle and is_used:
        verdict, detail = Verdict.FAIL, f"engine.device is {wanted}: {candidate.reason}"
    elif candidate.obstacle:
        # Where there is a GPU, somebody meant it to be used.
        verdict = Verdict.WARN if is_slow and gpus.has_driver else Verdict.OK
        detail = f"not used: {candidate.reason if gpus.has_driver else candidate.obstacle}"
    elif is_used:
        detail = f"used: {candidate.title} (engine.device is {wanted})"
    else:
        detail = f"could be used: {candidate.title} (engine.device is {wanted})"
    return Check(name=f"device {candidate.device}", verdict=verdict, detail=detail)
