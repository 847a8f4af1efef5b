"""What is sent through a model so that quantization sees its inputs: stretches of text, and prompts with a picture."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from edged.engine.chat_template import ChatTemplate
from edged.engine.positions import Area, rope_positions
from edged.engine.session import Sight, TokenType
from edged.errors import CheckpointError, InvalidInput
from edged.vision.preprocess import Grid, ImageFormat, Patches, patchify, read_patches, smart_resize
from edged.vision.tower_inputs import tower_inputs

from . import gate
from .checkpoint import Checkpoint
from .checkpoint.media_token import media_token
from .checkpoint.text_file import read_json
from .tensor import Floats
from .vision.artefact import limited
from .vision.processor import read_image_format
from .vision.reference import embeddings, stored_weights
from .vision.screens import screen
from .vision.tower import VisionTower, read_tower

MAX_PICTURES = 32
"""Their embeddings and states are in memory while the model is quantized, 50 MB each for a model 4,096 wide."""
_PICTURE_TOKENS = 1024
"""Of the largest picture: attention of the tower in numpy takes time and memory by the square."""
_MAX_FILE_BYTES = 64 * 1024 * 1024
_SCREEN = (2400, 1080)
"""Height and width of the telephone, in pixels before they are made fewer."""
_QUESTIONS = ("What is on this screen?", "Which button has to be tapped to open the settings?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One stretch of what a model is made for, read from an empty context."""

    tokens: tuple[int, ...]
    sight: Sight | None = None
    """What tokens below 0 show, and where all of them stand; None for text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFile:
    """A picture of the user's, and what it was when the recipe was read."""

    path: Path
    sha256: str


def picture_files(folder: Path, most: int | None) -> tuple[PictureFile, ...]:
    """The first files of a folder by name, hidden ones left out.

    most: None takes all. Raises InvalidInput in one line for a folder without files, with more than MAX_PICTURES of
    them where all are wanted, or with one that cannot be read.
    """
    try:
        found = heapq.nsmallest(
            MAX_PICTURES + 1, (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
        )
        if not found:
            raise InvalidInput(f"{folder} holds no files")
        if most is None and len(found) > MAX_PICTURES:
            raise InvalidInput(f"{folder} holds more than {MAX_PICTURES} files: say how many to use with images")
        return tuple(PictureFile(path=path, sha256=_sha256(path)) for path in found[:most])
    except OSError as exc:
        raise InvalidInput(f"{exc.filename or folder}: cannot be read: {exc.strerror}") from exc


def _sha256(path: Path) -> str:
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise InvalidInput(f"{path} has more than {_MAX_FILE_BYTES // 2**20} MB: no picture to calibrate on")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_samples(checkpoint: Checkpoint, name: str, tokens: int) -> list[Sample]:
    """The beginning of one of texts/, so many tokens, in segments as long as the gate's."""
    context = checkpoint.architecture.context_length
    text = gate.read_text(name, checkpoint.vocabulary.tokenizer, context, tokens)
    return [Sample(tokens=segment) for segment in text.segments]


def picture_samples(checkpoint: Checkpoint, count: int, files: Sequence[PictureFile] = ()) -> Iterator[Sample]:
    """Questions about so many pictures, in the model's own chat template: the files, then screens drawn by code.

    The tower runs in float32, one tensor of its weights in memory at a time. Raises InvalidInput naming the file that
    is no picture, CheckpointError, ArtefactError for a template that fails, MissingExtra where files need Pillow.
    """
    if not count:
        return
    config = read_json(checkpoint.path / "config.json")
    tower = read_tower(config, checkpoint.vision_tensors, checkpoint.architecture.hidden_size)
    wanted = _sized(read_image_format(checkpoint.path, tower), checkpoint.architecture.context_length)
    image, _ = media_token(config, "image_token_id", checkpoint)
    for number in range(count):
        before, after = _around_picture(checkpoint, _QUESTIONS[number % len(_QUESTIONS)], image)
        patches, grid = _from_file(files[number], wanted) if number < len(files) else _drawn(number, wanted)
        rows, columns = grid.height // tower.merge_size, grid.width // tower.merge_size
        area = Area(start=len(before), rows=rows, columns=columns)
        tokens = (*before, *[-1] * (rows * columns), *after)
        _require_room(checkpoint, tokens)
        inputs = tower_inputs(patches, grid, merge_size=tower.merge_size, position_side=tower.position_side)
        yield Sample(tokens=tokens, sight=_sight(len(tokens), area, _embeddings(tower, inputs)))


def _sized(wanted: ImageFormat, context: int) -> ImageFormat:
    """With the largest picture small enough to be computed here, and to leave room in the context."""
    tokens = min(_PICTURE_TOKENS, context // 2)
    return limited(wanted, tokens * wanted.factor**2 * wanted.temporal_patch_size)


def _from_file(file: PictureFile, wanted: ImageFormat) -> Patches:
    try:
        return read_patches(file.path.read_bytes(), wanted)
    except InvalidInput as exc:
        raise InvalidInput(f"{file.path}: {exc.message}") from exc
    except OSError as exc:
        raise InvalidInput(f"{file.path}: cannot be read: {exc.strerror}") from exc


def _drawn(number: int, wanted: ImageFormat) -> Patches:
    height, width = smart_resize(*_SCREEN, wanted)
    grid = Grid(height=height // wanted.patch_size, width=width // wanted.patch_size)
    return patchify(screen(number, height, width), wanted), grid


def _require_room(checkpoint: Checkpoint, tokens: Sequence[int]) -> None:
    context = checkpoint.architecture.context_length
    if len(tokens) > context:
        raise CheckpointError(f"a question about a picture has {len(tokens)} tokens, the context holds {context}")


def _embeddings(tower: VisionTower, inputs: Mapping[str, Floats]) -> Floats:
    with np.errstate(all="ignore"):  # weights of a damaged file may overflow; what becomes of them is judged later
        return np.asarray(embeddings(tower, inputs, stored_weights(tower)), np.float32)


def _sight(tokens: int, area: Area, rows: Floats) -> Sight:
    """Of a prompt of so many tokens with one picture."""
    shown, types = np.zeros((tokens, rows.shape[1]), np.float32), np.full(tokens, TokenType.TEXT, np.int64)
    shown[area.start : area.stop] = rows
    types[area.start : area.stop] = TokenType.IMAGE
    return Sight(positions=rope_positions(tokens, [area]), embeddings=shown, types=types)


def _around_picture(checkpoint: Checkpoint, question: str, image: int) -> tuple[list[int], list[int]]:
    """Tokens of the prompt before the picture, which comes before the question, and after it."""
    vocabulary = checkpoint.vocabulary
    template = ChatTemplate(
        vocabulary.chat_template, name="chat template", bos_text=vocabulary.bos_text, eos_text=vocabulary.eos_text
    )
    content = [{"type": "image"}, {"type": "text", "text": question}]
    tokenizer = Tokenizer.from_str(vocabulary.tokenizer)
    tokenizer.no_truncation()
    tokens = tokenizer.encode(template.render([{"role": "user", "content": content}]), add_special_tokens=False).ids
    if tokens.count(image) != 1:
        raise CheckpointError(
            f"the chat template has places for {tokens.count(image)} pictures, there is 1: name another with "
            "--chat-template FILE, or set calibration.images = 0 in the recipe"
        )
    place = tokens.index(image)
    return tokens[:place], tokens[place + 1 :]
