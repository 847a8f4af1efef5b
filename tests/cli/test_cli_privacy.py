"""The uses that are proved: what this machine or the daemon lacks is left out and said, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.cli import privacy_programs, privacy_uses
from edged.config import load_config
from edged.errors import Code, MissingExtra, RemoteError, Unavailable, UnsupportedPart


async def uses(home: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> list[privacy_uses.Use]:
    async def fails(*arguments: Any) -> str:
        raise failure

    async def works(*arguments: Any) -> str:
        return "done"

    for name in ("_ask", "_look_back", "_describe", "_play", "_talk", "_step", "_look", "ask_by_wyoming", "_pair"):
        monkeypatch.setattr(privacy_uses, name, works)
    for name in ("complete", "offer_a_tool", "embed", "transcribe", "say_aloud"):
        monkeypatch.setattr(privacy_programs, name, works)
    monkeypatch.setattr(privacy_uses, "_show", fails)
    config = load_config({"HOME": str(home)})
    return [use async for use in privacy_uses.main_uses(config, None)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "failure",
    [
        MissingExtra("pip install x"),
        RemoteError("pip install x", code=Code.FAILED_PRECONDITION, reason=MissingExtra.reason),
        UnsupportedPart("pip install x"),
    ],
)
async def test_what_lacks_an_extra_or_an_engine_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    found = await uses(tmp_path, monkeypatch, failure)
    assert [use.name for use in found if not use.done] == ["picture", *privacy_uses.NOT_TRIED]
    assert found[2].detail == "pip install x" and len(found) == 17


async def test_what_fails_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable):
        await uses(tmp_path, monkeypatch, Unavailable("gone"))
