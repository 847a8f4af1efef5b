"""An air-gapped machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systemd.debian import Machine, bootstrap, require, run

BASE = "python3,python3-venv,systemd"
"""What the Debian package depends on, and an air-gapped machine has to have."""


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    require("debootstrap", "unshare", "chroot")
    folder = bootstrap(tmp_path_factory.mktemp("air-gapped") / "debian", BASE)
    run("mount", "-t", "proc", "proc", folder / "proc")
    try:
        yield Machine(folder)
    finally:
        run("umount", folder / "proc")
