"""Full disks, places that cannot be written, and company: clear errors, and earlier data intact."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from talking import answer, ask, talk

from edged.errors import Code, NotFound, StoreError, StoreFull
from edged.events import MessageState
from edged.records import OPERATOR
from edged.store import ConversationStore, KeySource


def test_a_full_disk_loses_nothing_that_was_acknowledged(store, state_dir, source):
    first = talk(store, "hello", "there")
    pending = ask(store, "a question")
    with store._reading() as db:
        pages = int(db.execute("PRAGMA page_count").fetchone()[0])
        db.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StoreFull, match="disk is full") as caught:
        ask(store, "x" * 100_000)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    with pytest.raises(StoreFull):
        answer(store, pending, "y" * 100_000)
    assert len(store.list(reader=OPERATOR)[0]) == 2
    assert store.search("xxxx yyyy", reader=OPERATOR) == ((), "")
    with store._reading() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    again = talk(store, "is there room now?", "Yes.", conversation_id=pending.conversation_id)
    store.close()
    reopened = ConversationStore.open(state_dir, source)
    assert reopened.get(first.conversation_id, reader=OPERATOR).messages[1].text == "there"
    assert [
        (message.text, message.state) for message in reopened.get(again.conversation_id, reader=OPERATOR).messages
    ] == [
        ("a question", MessageState.COMPLETE),
        ("", MessageState.INTERRUPTED),
        ("is there room now?", MessageState.COMPLETE),
        ("Yes.", MessageState.COMPLETE),
    ]
    reopened.close()


@pytest.mark.parametrize("taken", ["moved", "replaced", "its log moved", "its directory moved"])
def test_a_database_that_is_taken_away_is_noticed(taken, store, state_dir):
    """Otherwise all that is acknowledged from then on would be gone with the next start."""
    talk(store, "hello", "there")
    away = {"its directory moved": state_dir, "its log moved": state_dir / "edged.db-wal"}.get(
        taken, state_dir / "edged.db"
    )
    kept = away.rename(away.with_name("kept"))
    if taken == "replaced":
        away.write_bytes(b"")
    for call in (lambda: ask(store, "a question"), lambda: store.list(reader=OPERATOR)):
        with pytest.raises(StoreError, match="was moved, deleted or replaced while it is in use: put it back"):
            call()
    kept.rename(away)
    talk(store, "are you back?", "Yes.")
    assert len(store.list(reader=OPERATOR)[0]) == 2


FILL_A_SMALL_DISK = """
    import pathlib, sys
    from edged.errors import StoreFull
    from edged.records import OPERATOR
    from edged.store import ConversationStore, KeySource
    from talking import talk

    disk, config = map(pathlib.Path, sys.argv[1:])
    source = KeySource(kind="file", directory=config)
    store, kept = ConversationStore.open(disk / "state", source), []
    try:
        for i in range(10_000):
            kept.append(talk(store, f"question {i}", "reply " * 500))
    except StoreFull as exc:
        print(exc.message)
    store.close()
    try:
        ConversationStore.open(disk / "other", source).close()
    except StoreFull as exc:
        print(exc.message)
    (disk / "ballast").unlink()
    store = ConversationStore.open(disk / "state", source)
    assert len(kept) > 10
    assert all(store.get(turn.conversation_id, reader=OPERATOR).messages[1].text == "reply " * 500 for turn in kept)
    talk(store, "room again")
    print("all there")
"""


def test_a_small_disk_really_filled(tmp_path):
    if not shutil.which("unshare"):
        pytest.skip("needs unshare (util-linux)")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=3m none {disk} && head -c 1000000 /dev/zero > {disk}/ballast && exec "$@"'
    program = [sys.executable, "-c", textwrap.dedent(FILL_A_SMALL_DISK), str(disk), str(tmp_path / "config")]
    namespace = ["unshare", "-rm", "sh", "-c"]
    if subprocess.run([*namespace, f"mount -t tmpfs none {disk}"], capture_output=True).returncode:
        pytest.skip("needs user namespaces that may mount a tmpfs")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [*namespace, mount, "sh", *program], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    *complaints, last = done.stdout.splitlines()
    assert last == "all there"
    assert len(complaints) == 2
    assert all("the disk is full" in line for line in complaints)


def test_a_file_in_the_place_of_the_directory(tmp_path, source):
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match="state") as caught:
        ConversationStore.open(tmp_path / "state", source)
    assert "\n" not in caught.value.message


def test_a_directory_in_the_place_of_the_file(state_dir, source):
    (state_dir / "edged.db").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"edged\.db"):
        ConversationStore.open(state_dir, source)


def test_a_read_only_file_system(state_dir, source, tmp_path):
    store = ConversationStore.open(state_dir, source)
    talk(store, "hello")
    store.close()
    program = """
        import pathlib, sys
        from edged.errors import StoreError
        from edged.store import ConversationStore, KeySource
        state_dir, config_dir = map(pathlib.Path, sys.argv[1:])
        try:
            ConversationStore.open(state_dir, KeySource(kind="file", directory=config_dir))
        except StoreError as exc:
            print(exc.message)
    """
    mount = f'mount --bind {state_dir} {state_dir} && mount -o remount,bind,ro {state_dir} && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("needs user namespaces that may mount (util-linux, unprivileged user namespaces)")
    for name in ("", "new"):
        arguments = [sys.executable, "-c", textwrap.dedent(program), str(state_dir / name), str(source.directory)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert str(state_dir) in done.stdout
        assert "write" in done.stdout
        assert done.stdout.count("\n") == 1


def test_two_stores_over_one_file_see_each_other(store, state_dir, source):
    other = ConversationStore.open(state_dir, source)
    turn = talk(store, "from one", "noted")
    talk(other, "from the other", conversation_id=turn.conversation_id)
    assert [message.text for message in store.get(turn.conversation_id, reader=OPERATOR).messages[::2]] == [
        "from one",
        "from the other",
    ]
    other.delete(turn.conversation_id, reader=OPERATOR)
    with pytest.raises(NotFound):
        store.get(turn.conversation_id, reader=OPERATOR)
    other.close()


def test_an_answer_under_way_survives_another_process_opening_the_file(store, state_dir, source):
    turn = ask(store, "how long?")
    ConversationStore.open(state_dir, source).close()
    answer(store, turn, "not long")
    reply = store.get(turn.conversation_id, reader=OPERATOR).messages[1]
    assert (reply.text, reply.state) == ("not long", MessageState.COMPLETE)


WRITE_BESIDE = """
    import pathlib, sys
    from edged.store import ConversationStore, KeySource
    from talking import talk

    state_dir, config_dir = map(pathlib.Path, sys.argv[1:3])
    store = ConversationStore.open(state_dir, KeySource(kind="file", directory=config_dir))
    for i in range(40):
        talk(store, f"{sys.argv[3]} {i}", "reply")
    store.close()
"""


def test_processes_that_start_together_share_key_and_schema_and_lose_nothing(state_dir, source):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    program = [sys.executable, "-c", textwrap.dedent(WRITE_BESIDE), str(state_dir), str(source.directory)]
    writers = [subprocess.Popen([*program, name], env=environment) for name in ("one", "two", "three")]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    store = ConversationStore.open(state_dir, source)
    assert store.status().conversations == 120
    store.close()


def test_a_writer_elsewhere_is_named_when_it_never_ends(store, state_dir, source):
    other = ConversationStore.open(state_dir, source)
    with store._reading() as db:
        db.execute("PRAGMA busy_timeout = 20")
    with other._writing(), pytest.raises(StoreError, match="another process"):
        talk(store, "hello")
    talk(store, "hello")
    other.close()


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    for call in (
        lambda: store.list(reader=OPERATOR),
        store.status,
        lambda: store.get("x", reader=OPERATOR),
        lambda: ask(store, "hello"),
    ):
        with pytest.raises(StoreError, match="closed"):
            call()


def test_opening_fails_whole(tmp_path: Path):
    """A refused database is closed again: nothing keeps its files open."""
    (tmp_path / "edged.db").write_bytes(b"junk" * 4096)
    for _ in range(3):
        with pytest.raises(StoreError):
            ConversationStore.open(tmp_path, KeySource(kind="file", directory=tmp_path / "config"))
    descriptors = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    assert not [file for file in descriptors if str(tmp_path) in str(file.readlink())]
