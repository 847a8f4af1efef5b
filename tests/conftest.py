"""Rules for every test: what runs by default, and that nothing is skipped unnoticed where all must run."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Before numpy is imported: on matrices of this size, threads that wait for each other cost several times the work."""
ON_REQUEST = ("faults", "soak", "system")
"""Run only when asked for with -m: they take long, or need root and packages."""
MAY_SKIP = ("gpu", "hardware", "soak")
"""Need what a build machine may lack; everything else must be installable there."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in ON_REQUEST)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    may_skip = hasattr(report, "wasxfail") or any(item.get_closest_marker(name) for name in MAY_SKIP)
    if _all_must_run() and report.skipped and not may_skip:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true does not allow: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if _all_must_run() and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped, which CI=true does not allow: {report.longreprtext}"
    return report


def _all_must_run() -> bool:
    return os.environ.get("CI") == "true"
