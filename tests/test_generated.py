"""edged/v1 is what protos/ generates."""

from __future__ import annotations

from pathlib import Path

from grpc_tools import protoc

from tests.docs import ROOT

PROTOS = sorted((ROOT / "protos").rglob("*.proto"))
INCLUDES = Path(protoc.__file__).parent / "_proto"


def test_checked_in_code_is_current(tmp_path: Path) -> None:
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    status = protoc.main(["protoc", f"-I{ROOT / 'protos'}", f"-I{INCLUDES}", *outputs, *map(str, PROTOS)])
    assert status == 0
    made = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "edged/v1").iterdir()}
    kept = {
        path.name: path.read_text(encoding="utf-8")
        for path in (ROOT / "edged/v1").iterdir()
        if path.suffix in (".py", ".pyi") and path.name != "__init__.py"
    }
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == [], "run `make proto`"
