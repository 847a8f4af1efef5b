"""The token that chat templates write for a picture or a recording."""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import Tokenizer

from edged.errors import CheckpointError

from .model import Checkpoint


def media_token(config: Mapping[str, object], key: str, checkpoint: Checkpoint) -> tuple[int, str]:
    """Its id and text, from config.json. key: "image_token_id" or "audio_token_id". Raises CheckpointError."""
    token = config.get(key)
    if type(token) is not int or not 0 <= token < checkpoint.architecture.vocab_size:
        raise CheckpointError(f"config.json: {key} must name a token, not {str(token)[:40]}")
    text = Tokenizer.from_str(checkpoint.vocabulary.tokenizer).id_to_token(token)
    if not text:
        raise CheckpointError(f"tokenizer.json has no token {token}, which config.json calls {key}")
    return token, text
