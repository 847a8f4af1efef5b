from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from edged.engine.installed import (
    export_engine,
    find_engine,
    import_engine,
    installed_engines,
    remove_engine,
    verify_engine,
)
from edged.errors import AlreadyExists, ArtefactError, NotFound
from tests.tiny_artefact import tiny_artefact


def test_the_first_directory_wins_and_torn_ones_are_left_out(tmp_path: Path) -> None:
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    tiny_artefact(mine, "a")
    tiny_artefact(shared, "a", seed=1)
    tiny_artefact(shared, "b")
    (tiny_artefact(shared, "torn") / "model.onnx").unlink()
    (shared / ".edged-half").mkdir()
    found = installed_engines([tmp_path / "none", mine, shared])
    assert [(engine.name, engine.folder.parent.name) for engine in found] == [("a", "mine"), ("b", "shared")]
    assert find_engine([mine, shared], "b") == shared / "b"


def test_an_unknown_name_gets_the_nearest(tmp_path: Path) -> None:
    tiny_artefact(tmp_path, "smollm2-135m")
    with pytest.raises(NotFound, match=r'did you mean "smollm2-135m".*edged models list') as caught:
        find_engine([tmp_path], "smollm-135m")
    assert caught.value.resource == ("engine", "smollm-135m")
    for hostile in ("..", "../x", "/", "", "a\0b"):
        with pytest.raises(NotFound):
            find_engine([tmp_path], hostile)


def test_export_then_import(tmp_path: Path) -> None:
    source = tiny_artefact(tmp_path / "build", "tiny")
    export_engine(source, tmp_path / "tiny.tar")
    engine = import_engine(tmp_path / "tiny.tar", tmp_path / "state")
    assert engine.folder == tmp_path / "state" / "tiny"
    assert verify_engine(engine.folder) == verify_engine(source)
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["tiny"], "nothing is left aside"
    with pytest.raises(AlreadyExists):
        import_engine(source, tmp_path / "state")
    with pytest.raises(AlreadyExists):
        export_engine(source, tmp_path / "tiny.tar")
    remove_engine(tmp_path / "state", "tiny")
    assert list((tmp_path / "state").iterdir()) == []
    import_engine(source, tmp_path / "state")


def test_a_damaged_engine_is_not_imported(tmp_path: Path) -> None:
    source = tiny_artefact(tmp_path / "build")
    data = (source / "tokenizer.json").read_bytes()
    (source / "tokenizer.json").write_bytes(data.replace(b"t", b"T", 1))
    with pytest.raises(ArtefactError, match=r"tokenizer\.json: SHA-256"):
        import_engine(source, tmp_path / "state")
    assert list((tmp_path / "state").iterdir()) == []


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, "/etc/passwd", 0
    return info


@pytest.mark.parametrize(
    "info",
    [
        member("tiny/../../evil"),
        member("/tmp/evil"),
        member("../evil"),
        member("evil"),
        member("tiny/link", tarfile.SYMTYPE),
        member("tiny/link", tarfile.LNKTYPE),
        member("tiny/device", tarfile.CHRTYPE),
    ],
)
def test_a_hostile_tar_writes_nothing(tmp_path: Path, info: tarfile.TarInfo) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.addfile(info, io.BytesIO(b""))
    with pytest.raises(ArtefactError, match="refusing to unpack"):
        import_engine(tmp_path / "evil.tar", tmp_path / "state" / "engines")
    assert [path.name for path in tmp_path.rglob("*")] == ["evil.tar", "state", "engines"] or not list(
        (tmp_path / "state" / "engines").iterdir()
    )


def test_a_tar_with_more_than_its_manifest(tmp_path: Path) -> None:
    source = tiny_artefact(tmp_path / "build")
    export_engine(source, tmp_path / "tiny.tar")
    with tarfile.open(tmp_path / "tiny.tar", "a") as tar:
        tar.addfile(member("tiny/extra"), io.BytesIO(b""))
    with pytest.raises(ArtefactError, match="'extra' is not in its manifest"):
        import_engine(tmp_path / "tiny.tar", tmp_path / "state")


def test_a_file_that_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing" * 1000)
    with pytest.raises(ArtefactError, match="not a readable tar"):
        import_engine(tmp_path / "x.tar", tmp_path / "state")
    with pytest.raises(NotFound):
        import_engine(tmp_path / "gone.tar", tmp_path / "state")


def test_a_truncated_tar(tmp_path: Path) -> None:
    source = tiny_artefact(tmp_path / "build")
    export_engine(source, tmp_path / "tiny.tar")
    whole = (tmp_path / "tiny.tar").read_bytes()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / "cut.tar").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ArtefactError):
            import_engine(tmp_path / "cut.tar", tmp_path / "state")
    assert list((tmp_path / "state").iterdir()) == []


def test_an_engine_without_a_manifest_can_still_be_removed(tmp_path: Path) -> None:
    folder = tiny_artefact(tmp_path / "state")
    (folder / "manifest.json").unlink()
    remove_engine(tmp_path / "state", "tiny")
    assert list((tmp_path / "state").iterdir()) == []


def test_errors_name_what_was_given_and_no_folder_is_made_for_a_typo(tmp_path: Path) -> None:
    source = tiny_artefact(tmp_path / "build")
    with pytest.raises(NotFound, match="typo is not a folder"):
        export_engine(source, tmp_path / "typo" / "tiny.tar")
    assert not (tmp_path / "typo").exists()
    (source / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtefactError) as caught:
        import_engine(source, tmp_path / "state")
    assert str(source / "tokenizer.json") in caught.value.message


@pytest.mark.parametrize("name", ["gone", "..", "../other", ""])
def test_only_what_is_there_is_removed(tmp_path: Path, name: str) -> None:
    kept = tiny_artefact(tmp_path / "other", "other")
    tiny_artefact(tmp_path / "state", "tiny")
    with pytest.raises(NotFound):
        remove_engine(tmp_path / "state", name)
    assert kept.is_dir()
