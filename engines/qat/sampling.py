"""Texts that a model writes by itself: what it knows, in the words that it will be asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from edged.engine.chat_template import ChatTemplate
from edged.errors import CheckpointError
from engines.checkpoint import Checkpoint

from .decoder import Decoder

LENGTH = 512
"""Tokens of a text."""
SHARE = 0.98
"""Nucleus sampling (arXiv:1904.09751): the least set of tokens that has this probability, at temperature 1."""
_DRAWS = 4
"""Of each token. Where all are outside the nucleus, once in six million tokens, the most likely one is taken."""
_MARK = "@@user@@"


def nucleus(logits: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A token for each row, by drawing from all until one is in the nucleus: no sorting.  # (rows,)"""
    probabilities = logits.float().softmax(-1)
    draws = torch.multinomial(probabilities, _DRAWS, replacement=True, generator=generator)
    chosen = probabilities.gather(-1, draws)
    above = [(probabilities * (probabilities > each[:, None])).sum(-1) for each in chosen.unbind(-1)]
    is_within = torch.stack(above, dim=-1) < share
    first = draws.gather(-1, is_within.int().argmax(-1, keepdim=True))[:, 0]
    return torch.where(is_within.any(-1), first, probabilities.argmax(-1))


@torch.inference_mode()
def drawn(model: Decoder, starts: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Texts that begin as given, all equally long.  # (texts, some) -> (texts, length)"""
    tokens = starts
    caches = model.caches(len(starts), length)
    states = model(starts, caches)
    while tokens.shape[1] < length:
        following = nucleus(model.logits(states[:, -1]), SHARE, generator)
        tokens = torch.cat([tokens, following[:, None]], dim=1)
        states = model(following[:, None], caches)
    return tokens


def user_turn(checkpoint: Checkpoint) -> list[int]:
    """Tokens before the first word of a user. Raises ArtefactError for a template that fails."""
    vocabulary = checkpoint.vocabulary
    template = ChatTemplate(
        vocabulary.chat_template, name="chat template", bos_text=vocabulary.bos_text, eos_text=vocabulary.eos_text
    )
    before, mark, _ = template.render([{"role": "user", "content": _MARK}]).partition(_MARK)
    if not mark:
        raise CheckpointError("the chat template leaves out what the user says")
    return list(Tokenizer.from_str(vocabulary.tokenizer).encode(before, add_special_tokens=False).ids)


def sampled(
    model: Decoder, prefix: list[int], texts: int, batch: int, folder: Path, progress: Callable[[int], object]
) -> NDArray[np.uint32]:
    """Texts of LENGTH tokens, half from any first token, half from what a user says; kept in the folder batch by batch.

    The same number from the same model is the same text. progress: is told of texts that are there.
    # (texts, LENGTH)
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: list[NDArray[np.uint32]] = []
    device = model.table.device
    for number in range(-(-texts // batch)):
        path = folder / f"{batch}x{LENGTH}-{number:05}.npy"
        if not path.is_file():
            generator = torch.Generator(device).manual_seed(number)
            if number % 2:
                starts = torch.tensor([prefix or [0]], device=device).expand(batch, -1)
            else:
                starts = torch.randint(len(model.table), (batch, 1), generator=generator, device=device)
            values = drawn(model, starts, LENGTH, generator).cpu().numpy().astype(np.uint32)
            beside = path.with_suffix(".new")
            with beside.open("wb") as file:
                np.save(file, values)
            beside.rename(path)
        found.append(np.load(path))
        progress(batch)
    return np.concatenate(found)[:texts]
