"""Tokenizer, end tokens and chat template of a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer

from edged.errors import CheckpointError

from .model import Vocabulary
from .text_file import read_bytes, read_json, read_optional_json

_TURN_ENDS = ("<end_of_turn>",)
"""Ends of a turn that some folders (the first Gemma) do not list among the tokens that end an answer."""


def read_vocabulary(folder: Path, config: Mapping[str, object], vocab_size: int) -> Vocabulary:
    """Raises CheckpointError when there is no tokenizer.json or it does not fit the embedding table."""
    tokenizer = _tokenizer(folder, vocab_size)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    ids = {*vocabulary.values(), *tokenizer.encode("").ids}  # the post-processor brings ids of its own
    if not vocabulary or max(ids) >= vocab_size:
        raise CheckpointError(f"tokenizer.json has tokens beyond the {vocab_size} rows of the embedding table")
    settings = read_optional_json(folder / "tokenizer_config.json")
    bos, eos_named = _marked(settings, "bos_token", vocabulary), _marked(settings, "eos_token", vocabulary)
    ends = _end_tokens(folder, config, eos_named, vocab_size)
    ends += tuple(vocabulary[text] for text in _TURN_ENDS if text in vocabulary and vocabulary[text] not in ends)
    return Vocabulary(
        tokenizer=tokenizer.to_str(),
        bos=bos,
        eos=ends,
        bos_text="" if bos is None else tokenizer.id_to_token(bos) or "",
        eos_text=tokenizer.id_to_token(ends[0] if eos_named is None else eos_named) or "",
        has_reasoning={"<think>", "</think>"} <= vocabulary.keys(),
        chat_template=_chat_template(folder, settings),
    )


def _tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(f"{folder}: no tokenizer.json in the folder")
    document = read_json(path)
    added = document.get("added_tokens")
    if isinstance(added, list):
        # Text-only models may share a tokenizer with those that see: no row of theirs stands for a picture's token.
        document["added_tokens"] = [token for token in added if not _is_beyond(token, vocab_size)]
    try:
        tokenizer = Tokenizer.from_str(json.dumps(document, ensure_ascii=False))
    except (CheckpointError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:  # the library raises nothing more precise, and its panics are no Exception
        raise CheckpointError(f"{path}: not a tokenizer: {str(exc)[:100]}") from exc
    # Many files cut or fill every text to the length their authors trained or tested with.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _is_beyond(token: object, vocab_size: int) -> bool:
    number = token.get("id") if isinstance(token, dict) else None
    return isinstance(number, int) and number >= vocab_size


def _marked(settings: Mapping[str, object], key: str, vocabulary: Mapping[str, int]) -> int | None:
    """Id of bos_token or eos_token, which is a text or {"content": text}."""
    value = settings.get(key)
    text = value.get("content") if isinstance(value, dict) else value
    return vocabulary.get(text) if isinstance(text, str) else None


def _end_tokens(folder: Path, config: Mapping[str, object], named: int | None, vocab_size: int) -> tuple[int, ...]:
    ends: list[int] = [] if named is None else [named]
    for source in (read_optional_json(folder / "generation_config.json"), config):
        value = source.get("eos_token_id")
        ends += [token for token in (value if isinstance(value, list) else [value]) if type(token) is int]
    valid = tuple(dict.fromkeys(token for token in ends if 0 <= token < vocab_size))
    if not valid:
        raise CheckpointError(f"{folder}: no eos_token in tokenizer_config.json, generation_config.json or config.json")
    return valid


def _chat_template(folder: Path, settings: Mapping[str, object]) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return read_bytes(file).decode(errors="replace")
    value = settings.get("chat_template") or read_optional_json(folder / "chat_template.json").get("chat_template")
    if isinstance(value, list):  # several named ones: [{"name": "default", "template": "..."}]
        named = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else ""
