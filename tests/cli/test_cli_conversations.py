from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.records import Conversation, Device, DeviceKind
from edged.server.device_registry import DeviceRegistry
from edged.store.devices import KnownDevice
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.server.device_store import DictDevices


@pytest.fixture
def talked(daemon: ScriptedDaemon, edged: Edged) -> ScriptedDaemon:
    """A daemon with one conversation, c1."""
    assert edged("ask", "My cat is Biscuit.").exit_code == 0
    return daemon


def test_list(talked: ScriptedDaemon, edged: Edged) -> None:
    lines = edged("conversations", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "LAST", "USED", "MESSAGES", "TITLE"]
    assert lines[1].startswith("c1 ") and lines[1].endswith("untitled")
    assert [item["id"] for item in json.loads(edged("conversations", "list", "--json").stdout)] == ["c1"]


def test_devices_are_listed_by_name_where_it_is_known(
    home: Path, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    desk = Device(id="5b76", name="Desk", kind=DeviceKind.PROGRAM, person="", scopes=frozenset(), created_at=now)
    registry = DeviceRegistry(DictDevices(), (KnownDevice(device=desk, credential=b""),))
    monkeypatch.setattr("tests.server.conftest.no_devices", lambda: registry)
    owners = ("device:5b76", "device:gone", "person:Anna", "")
    kept = [
        Conversation(id=f"c{number}", title="x", created_at=now, updated_at=now, message_count=2, owner=owner)
        for number, owner in enumerate(owners)
    ]
    daemon = ScriptedDaemon(home / "socket")
    monkeypatch.setattr(daemon.memory, "_conversation", lambda name: kept[int(name[1:])])
    daemon.memory.messages = {one.id: [] for one in kept}
    daemon.begin()
    try:
        heading, *lines = edged("conversations", "list").stdout.splitlines()
        told = json.loads(edged("conversations", "list", "--json").stdout)
    finally:
        daemon.end()
    column = heading.index("FROM")
    assert {line[:2]: line[column:].split()[:-1] for line in lines} == {
        "c0": ["Desk"],
        "c1": ["gone"],
        "c2": ["Anna"],
        "c3": [],
    }
    assert {one["id"]: one["owner"] for one in told}["c0"] == "device:5b76"


def test_list_of_none(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert edged("conversations", "list").stdout == "No conversations.\n"
    assert json.loads(edged("conversations", "list", "--json").stdout) == []


def test_show(talked: ScriptedDaemon, edged: Edged) -> None:
    text = edged("conversations", "show", "c1").stdout
    assert text.endswith("\n\nuser:\nMy cat is Biscuit.\n\nassistant:\nParis.\n")
    document = json.loads(edged("conversations", "show", "c1", "--json").stdout)
    assert document["conversation"]["id"] == "c1"
    assert [(message["role"], message["text"]) for message in document["messages"]] == [
        ("user", "My cat is Biscuit."),
        ("assistant", "Paris."),
    ]
    assert "\n## Assistant\n\nParis.\n" in edged("conversations", "show", "c1", "--markdown").stdout


def test_search(talked: ScriptedDaemon, edged: Edged) -> None:
    assert "c1  user: " in edged("conversations", "search", "Biscuit").stdout
    hits = json.loads(edged("conversations", "search", "--json", "Biscuit").stdout)
    assert hits[0]["conversation"]["id"] == "c1" and hits[0]["snippet"] == "My cat is Biscuit."
    assert edged("conversations", "search", "elephant").stdout == "Nothing found.\n"


def test_export_to_a_file_only_the_user_can_read(talked: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    assert edged("conversations", "export", "--json", "--output", str(file)).exit_code == 0
    assert [item["conversation"]["id"] for item in json.loads(file.read_text(encoding="utf-8"))] == ["c1"]
    assert file.stat().st_mode & 0o777 == 0o600
    again = edged("conversations", "export", "--json", "--output", str(file))
    assert (again.exit_code, again.stderr) == (1, f"edged: {file} exists already\n")


def test_export_that_fails_leaves_no_file(talked: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    file = tmp_path / "some.md"
    done = edged("conversations", "export", "nosuch", "--markdown", "--output", str(file))
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and not file.exists()


def test_export_of_nothing_is_still_json(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert json.loads(edged("conversations", "export", "--json").stdout) == []


def test_attachments_are_exported_whole_and_shown_by_size(daemon: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    picture = tmp_path / "cat.gif"
    picture.write_bytes(b"GIF89a\0\1")
    edged("ask", "--image", str(picture), "What is this?")
    shown = json.loads(edged("conversations", "show", "c1", "--json").stdout)
    assert shown["messages"][0]["parts"][0] == {"type": "image", "media_type": "image/gif", "bytes": 8}
    exported = json.loads(edged("conversations", "export", "--json").stdout)
    assert exported[0]["messages"][0]["parts"][0]["base64"] == "R0lGODlhAAE="
    assert "[image/gif, 8 bytes]" in edged("conversations", "show", "c1").stdout


def test_delete_needs_yes_where_nobody_can_be_asked(talked: ScriptedDaemon, edged: Edged) -> None:
    asked = edged("conversations", "delete", "c1")
    assert asked.exit_code == 2 and "--yes" in asked.stderr and "c1" in talked.memory.messages
    assert edged("conversations", "delete", "c1", "--yes").stdout == "Deleted c1.\n"
    assert talked.memory.messages == {}
    assert edged("conversations", "delete", "c1", "--yes").exit_code == 1


def test_rename(talked: ScriptedDaemon, edged: Edged) -> None:
    assert edged("conversations", "rename", "c1", "The cat").stdout == "c1 is now: The cat\n"
    assert talked.memory.titles["c1"] == "The cat"


def test_list_goes_beyond_one_page(daemon: ScriptedDaemon, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    for question in ("one", "two", "three", "four", "five"):
        edged("ask", question)
    monkeypatch.setattr(sys.modules["edged.cli.conversations"], "PAGE_SIZE", 2)  # the package has a command of the name

    def listed(limit: int) -> set[str]:
        done = edged("conversations", "list", "--json", "--limit", str(limit))
        return {item["id"] for item in json.loads(done.stdout)}

    assert listed(1000) == {"c1", "c2", "c3", "c4", "c5"}
    assert len(listed(3)) == 3
