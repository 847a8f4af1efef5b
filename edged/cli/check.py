"""What a check of `edged doctor` finds."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    detail: str
    """What was found and, unless it is well, what to do."""


def judged(name: str, detail: str, holds: bool = True, *, advice: str = "", otherwise: Verdict = Verdict.FAIL) -> Check:
    """OK if it holds; else what to do joins the detail."""
    return (
        Check(name=name, verdict=Verdict.OK, detail=detail)
        if holds
        else Check(name=name, verdict=otherwise, detail=f"{detail}: {advice}")
    )
