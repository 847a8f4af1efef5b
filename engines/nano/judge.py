"""How often an engine gives exactly the right answer, by task: towers, experts and cache as the daemon runs them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edged.audio.mel import log_mel
from edged.engine.manifest import read_manifest
from edged.engine.onnx_session import OnnxSession
from edged.engine.onnx_tower import OnnxTower
from edged.engine.readers import image_format, mel_format, readers
from edged.engine.session import Sight, TokenType
from edged.errors import ArtefactError
from edged.events import Audio, Image
from edged.vision.preprocess import Grid, normalize
from edged.vision.tower_inputs import pixel_inputs
from engines.tensor import Floats

from .batches import Encoder
from .canvas import Picture
from .evaluate import accuracy
from .export import quantize_nano, read_float
from .heldout import Question, heldout
from .samples import Sound, Turn
from .scores import Score, table, tally
from .tokenizer import tokenizer

_LONGEST = 64
"""Tokens of an answer; none is longer."""


class Engine:
    """An artefact that answers questions greedily."""

    def __init__(self, folder: Path) -> None:
        """Raises ArtefactError for a folder that is no engine which sees and hears."""
        self.manifest = read_manifest(folder)
        """Of the artefact."""
        self._encoder = Encoder()
        if self.manifest.vision is None or self.manifest.audio is None or not self._knows_these_tokens(folder):
            raise ArtefactError(f"{folder}: these questions are for autoglm-phone-nano, whose tokens it does not have")
        self.session = OnnxSession(folder, self.manifest, max_seq_len=self.manifest.context_length, threads=0)
        self._image_format, self._mel_format = image_format(self.manifest.vision), mel_format(self.manifest.audio)
        self._position_side = self.manifest.vision.position_side
        reading = readers(self.manifest)
        self._eyes, self._ears = (
            OnnxTower(folder / reading[media].file, reading[media].input_names, threads=0) for media in (Image, Audio)
        )
        self._end = set(self.manifest.tokens.eos)

    def _knows_these_tokens(self, folder: Path) -> bool:
        written: object = json.loads((folder / self.manifest.tokenizer_file).read_bytes())
        return bool(written == json.loads(tokenizer().to_str()))

    def answer(self, question: Question) -> list[int]:
        """Tokens of the answer, without the one that ends it."""
        rows = self._encoder.rows((Turn(parts=question.parts, answer=""),), is_open=True)
        tokens, types = [row[0] for row in rows], np.array([row[1] for row in rows], np.int64)
        embeddings = np.zeros((len(rows), self.manifest.hidden_size), np.float32)
        media = [self.embedded(part) for part in question.parts if isinstance(part, Picture | Sound)]
        if media:
            embeddings[types != TokenType.TEXT] = np.concatenate(media)
        given = [token if kind == TokenType.TEXT else -1 for token, kind in zip(tokens, types, strict=True)]
        positions = np.broadcast_to(np.arange(len(rows)), (3, len(rows)))
        memory = self.session.allocate()
        sight = Sight(positions=positions, embeddings=embeddings, types=types)
        token = int(self.session.prefill(memory, 0, given, sight=sight)[0].argmax())
        found: list[int] = []
        while token not in self._end and len(found) < _LONGEST:
            found.append(token)
            token = int(self.session.decode(memory, len(rows) + len(found) - 1, token).argmax())
        return found

    def is_right(self, question: Question) -> bool:
        """Whether it answers exactly so."""
        return self.answer(question) == self._encoder.text(question.answer)

    def embedded(self, part: Picture | Sound) -> Floats:
        """What stands for it in the prompt.  # (tokens, hidden)"""
        inputs: Mapping[str, NDArray[np.float32]]
        if isinstance(part, Sound):
            inputs, tower = {"mel": log_mel(part.samples, self._mel_format)[None]}, self._ears
        else:
            side = self._image_format.patch_size
            grid = Grid(height=part.pixels.shape[0] // side, width=part.pixels.shape[1] // side)
            pixels = normalize(part.pixels, self._image_format)
            inputs, tower = pixel_inputs(pixels, grid, position_side=self._position_side), self._eyes
        embeddings = tower.run(inputs, lambda: False)
        assert embeddings is not None  # it was not cancelled
        return embeddings


def examined(folder: Path, count: int, training: Path) -> str:
    """A table of how it answers that many held-out questions of each task. Raises ArtefactError, NotFound.

    training: where the float weights are as well, PyTorch is asked the same, with those and with what rounding makes of
    them.
    """
    engine = Engine(folder)
    questions = list(heldout(count))
    columns = []
    if (model := read_float(training)) is not None:
        columns.append(("float", accuracy(model, questions)))
        quantize_nano(model)
        columns.append(("rounded to INT4", accuracy(model, questions)))
    answers = engine_accuracy(engine, tqdm(questions, desc="asking", unit="question", leave=False, disable=None))
    return table([*columns, ("INT4 engine", answers)])


def engine_accuracy(engine: Engine, questions: Iterable[Question]) -> Mapping[str, Score]:
    """By task."""
    return tally((question.task, engine.is_right(question)) for question in questions)
