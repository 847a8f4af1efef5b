"""A machine that cannot run a bundle is told so before anything is touched; versions follow each other and back."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edged.bundle import install, machine_check, wheelhouse
from edged.bundle.install import roll_back
from edged.bundle.machine_check import check_machine
from edged.bundle.manifest import BundleManifest, Compiled
from edged.bundle.wheelhouse import collect_wheels, oldest_glibc
from edged.engine.gpu import Gpu, Gpus
from edged.engine.manifest import FileEntry
from edged.errors import InvalidInput, NotFound
from tests.bundle.test_bundle_archive import manifest_of

NO_GPU = Gpus(obstacle="this machine has no NVIDIA driver (no /proc/driver/nvidia)")
RTX = Gpus(found=(Gpu(name="RTX 4090", capability="sm89", memory_bytes=2**34, cuda="13.0"),), has_driver=True)
OLD = Gpus(found=(Gpu(name="RTX 4090", capability="sm89", memory_bytes=2**34, cuda="12.4"),), has_driver=True)
PLAN = Compiled(engine="big", target="sm89", builder="tensorrt_rtx 1.7.1.116")
ELDER = Compiled(engine="big", target="sm89", builder="tensorrt_rtx 1.6.0.1")
WHOLE = Compiled(engine="big", target="sm89", builder="tensorrt 10.16.2.10")
_ANY = FileEntry(sha256="0" * 64, bytes=1)
WITH_RTX = {"wheels/tensorrt_rtx_cu13_bindings-1.7.1.116-cp311-none-manylinux_2_28_x86_64.whl": _ANY}


def fitting(**changes: object) -> BundleManifest:
    here = {"machine": platform.machine(), "python": f"3.{sys.version_info.minor}", "glibc": "2.17"}
    return manifest_of({}, **{**here, **changes})


def check(manifest: BundleManifest, gpus: Gpus = NO_GPU, prefix: Path = Path("/opt/edged-not-there")) -> str:
    try:
        check_machine(manifest, prefix, Path(sys.executable), gpus)
    except InvalidInput as exc:
        return exc.message
    return ""


def test_what_fits_is_let_in() -> None:
    assert check(fitting()) == ""
    assert check(fitting(plans=(PLAN,), extras=("daemon", "rtx"), files=WITH_RTX), RTX) == ""


@pytest.mark.parametrize(
    ("changes", "gpus", "said"),
    [
        ({"machine": {"x86_64": "aarch64"}.get(platform.machine(), "x86_64")}, NO_GPU, "--machine"),
        ({"python": "3.99"}, NO_GPU, "is for Python 3.99"),
        ({"glibc": "2.999"}, NO_GPU, "needs glibc 2.999"),
        ({"installed_bytes": 2**49}, NO_GPU, "MiB free"),
        ({"extras": ("daemon", "cuda")}, NO_GPU, "no NVIDIA driver"),
        ({"extras": ("daemon", "cuda")}, OLD, "this one knows 12.4: update the driver"),
        ({"plans": (PLAN,)}, NO_GPU, "no NVIDIA driver"),
        ({"plans": (PLAN,)}, RTX, "the bundle has no tensorrt_rtx: make it with --extra rtx"),
        ({"plans": (ELDER,), "files": WITH_RTX}, RTX, "1.6.0.1, the bundle has tensorrt_rtx 1.7.1.116"),
        ({"plans": (WHOLE,)}, RTX, "compiled by tensorrt 10.16.2.10, this machine has no tensorrt: install that"),
        (
            {"plans": (Compiled(engine="big", target="sm120", builder="x"),)},
            RTX,
            "compiled for sm120, the GPU here is sm89",
        ),
    ],
)
def test_what_does_not_fit_is_said_with_what_to_do(changes: dict[str, object], gpus: Gpus, said: str) -> None:
    assert said in check(fitting(**changes), gpus)


@pytest.mark.parametrize(("version", "said"), [("10.16.2.10", ""), ("10.13.0", "this machine has tensorrt 10.13.0")])
def test_tensorrt_itself_is_looked_for_where_it_will_be_used(tmp_path: Path, version: str, said: str) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    module = next(tmp_path.glob("lib/python*/site-packages")) / "tensorrt.py"
    module.write_text(f"__version__ = {version!r}\n")
    manifest = fitting(plans=(WHOLE,), extras=("daemon",))
    try:
        check_machine(manifest, tmp_path, tmp_path / "bin/python", RTX)
    except InvalidInput as exc:
        assert said and said in exc.message
    else:
        assert not said


def test_a_python_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--python"):
        check_machine(fitting(), tmp_path, tmp_path / "nothing", NO_GPU)


def test_the_wheels_say_how_old_a_system_may_be() -> None:
    names = ["a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "b-1-py3-none-any.whl"]
    assert oldest_glibc([Path(name) for name in names]) == "2.17"
    assert oldest_glibc([*map(Path, names), Path("c-1-cp311-abi3-manylinux_2_28_x86_64.whl")]) == "2.28"


def test_a_wheel_has_what_is_in_the_checkout_and_nothing_of_builds_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    for path in ("edged/__init__.py", "build/lib/edged/gone.py"):
        (checkout / path).parent.mkdir(parents=True)
        (checkout / path).touch()
    (checkout / "pyproject.toml").write_text(
        '[project]\nname = "edged"\nversion = "1"\n[tool.setuptools]\npackages = ["edged"]\n'
    )
    monkeypatch.setattr(wheelhouse, "CHECKOUT", checkout)
    names = zipfile.ZipFile(wheelhouse.own_wheel(tmp_path / "wheels")).namelist()
    assert [name for name in names if name.startswith("edged/")] == ["edged/__init__.py"]
    assert [path.name for path in (checkout / "build").iterdir()] == ["lib"]


def test_an_extra_that_there_is_not_is_named_before_anything_is_collected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no extra 'vison' .did you mean \"vision\""):
        collect_wheels(tmp_path, machine="x86_64", python="3.12", extras=["daemon", "vison"])
    assert not list(tmp_path.iterdir())


def test_back_and_forth(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no previous version"):
        roll_back(tmp_path, None)
    for name in ("one", "two"):
        (tmp_path / "versions" / name).mkdir(parents=True)
        install._make_current(tmp_path, tmp_path / "versions" / name)
    assert (tmp_path / "current").resolve().name == "two"
    assert roll_back(tmp_path, None) == "one"
    assert (tmp_path / "current").resolve().name == "one"
    assert roll_back(tmp_path, None) == "two"
    (tmp_path / "versions/three").mkdir()
    install._forget_old_versions(tmp_path)
    assert {folder.name for folder in (tmp_path / "versions").iterdir()} == {"one", "two"}
    shutil.rmtree(tmp_path / "versions/one")
    with pytest.raises(NotFound):
        roll_back(tmp_path, None)


def test_free_space_is_that_of_the_disk_the_prefix_will_lie_on(tmp_path: Path) -> None:
    assert machine_check._existing(tmp_path / "a/b/c") == tmp_path
