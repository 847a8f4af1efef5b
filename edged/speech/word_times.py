"""When each word of a transcript is said: by which part of the sound Whisper attends to as it writes the word.

A word's tokens and the encoder's states, 20 ms each, are aligned by dynamic time warping, which CTranslate2 has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.records import SpokenWord

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_STATE_SECONDS = 0.02
_SHORTEST_PAUSE = 0.7
"""Seconds that a word may take, however quickly somebody speaks."""
_SPACE = "Ġ"
"""How the vocabulary writes the space before a word."""


def word_times(
    model: Any, features: Any, start: Sequence[int], tokens: Sequence[int], tokenizer: Tokenizer, *, seconds: float
) -> tuple[SpokenWord, ...]:
    """Words that `tokens` spell, within a window of so many seconds.

    features: what the encoder made of the window. start: the tokens that the decoder began with.
    """
    if not tokens:
        return ()
    frames = max(2, int(seconds * 100))
    (found,) = model.align(features, list(start), [list(tokens)], frames)
    places, states = (np.array(column) for column in zip(*found.alignments, strict=True))
    first = np.concatenate(([True], np.diff(places) > 0))
    times = np.minimum(states[first] * _STATE_SECONDS, seconds)  # where each token begins, and the end of all
    words: list[SpokenWord] = []
    done = 0
    for spelled in _by_word(tokens, tokenizer):
        end = done + len(spelled)
        words.append(
            SpokenWord(
                text=str(tokenizer.decode(list(spelled))),
                start_seconds=float(times[min(done, len(times) - 1)]),
                end_seconds=float(times[min(end, len(times) - 1)]),
                probability=float(np.mean(found.text_token_probs[done:end] or [0.0])),
                tokens=tuple(spelled),
            )
        )
        done = end
    return _without_pauses(words)


def _without_pauses(words: Sequence[SpokenWord]) -> tuple[SpokenWord, ...]:
    """The silence after a word is counted with it; twice as long as others take is a word's end."""
    longest = max(_SHORTEST_PAUSE, 2 * float(np.median([word.end_seconds - word.start_seconds for word in words])))
    return tuple(replace(word, end_seconds=min(word.end_seconds, word.start_seconds + longest)) for word in words)


def _by_word(tokens: Sequence[int], tokenizer: Tokenizer) -> list[list[int]]:
    """A word begins with a space; in Chinese and Japanese each character is one."""
    words: list[list[int]] = []
    for token in tokens:
        entry = tokenizer.id_to_token(token) or ""
        if not words or entry.startswith(_SPACE) or is_wide(str(tokenizer.decode(words[-1]))[-1:]):
            words.append([])
        words[-1].append(token)
    return words


def is_wide(text: str) -> bool:
    """Whether all of it is Chinese or Japanese, which put no spaces between words."""
    return bool(text) and all("\u2e80" <= character <= "\uffef" for character in text)
