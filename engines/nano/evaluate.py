"""How often the PyTorch model gives exactly the right answer, by task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from engines.autoglm_phone.model import AutoGLMPhone

from .batches import Batch, Encoder, collate, normalised
from .canvas import Picture
from .heldout import Question
from .samples import Sample, Sound, Turn
from .scores import Score, tally


def accuracy(model: AutoGLMPhone, questions: Iterable[Question], size: int = 32) -> Mapping[str, Score]:
    """Answers count when every token of them is the likeliest one, which is when greedy decoding writes them."""
    return tally(_judged(model, questions, size))


def _judged(model: AutoGLMPhone, questions: Iterable[Question], size: int) -> Iterator[tuple[str, bool]]:
    encoder = Encoder()
    for group in _groups(questions, size):
        batch = collate(encoder, [_sample(question) for question in group])
        yield from zip((question.task for question in group), right_answers(model, batch), strict=True)


@torch.no_grad()
def right_answers(model: AutoGLMPhone, batch: Batch) -> list[bool]:
    """Whether all tokens of all answers of each sample are the likeliest ones."""
    device = model.model.embed_tokens.weight.device
    pixels = None if batch.pixels is None else normalised(batch.pixels.to(device))
    mels = None if batch.mels is None else batch.mels.to(device)
    states = model(batch.tokens.to(device), batch.types.to(device), pixels, mels)
    is_right = (model.logits(states).argmax(-1).cpu() == batch.targets) | (batch.targets < 0)
    return [bool(row.all()) for row in is_right]


def _sample(question: Question) -> Sample:
    return Sample(task=question.task, turns=(Turn(parts=question.parts, answer=question.answer),))


def _groups(questions: Iterable[Question], size: int) -> Iterator[Sequence[Question]]:
    """Of questions whose pictures and recordings have the same shapes."""
    waiting: dict[tuple[object, ...], list[Question]] = {}
    for question in questions:
        group = waiting.setdefault(tuple(_shape(part) for part in question.parts), [])
        group.append(question)
        if len(group) == size:
            yield list(group)
            group.clear()
    yield from (group for group in waiting.values() if group)


def _shape(part: object) -> object:
    match part:
        case Picture(pixels=pixels):
            return pixels.shape
        case Sound(samples=samples):
            return samples.shape
        case _:
            return None
