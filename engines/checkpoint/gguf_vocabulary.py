"""The tokenizer inside a GGUF file, rebuilt as a tokenizer.json.

Two families: `gpt2` is byte-level BPE with a named pre-tokenizer, `llama` is SentencePiece BPE, whose
merges GGUF leaves out and whose scores give them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from edged.errors import CheckpointError

from .gguf_header import Value
from .model import Vocabulary

_CONTROL, _USER_DEFINED = 3, 4
_LONGEST_PIECE = 256

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_WORDS}|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_WORDS}|\p{{N}}|{_REST}"
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS = {
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "smaug-bpe": _LLAMA3,
    "dbrx": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "megrez": _QWEN2,
    "tekken": _TEKKEN,
}
_DIGIT_BY_DIGIT = ("smollm", "starcoder", "refact", "codeshell", "command-r", "exaone")
_PLAIN = ("default", "gpt-2", "gpt2", "phi-2", "jina-es", "roberta-bpe", "olmo")
_WHOLE_WORDS_FIRST = ("llama-bpe", "llama3", "llama-v3", "tekken")
"""A word that is a token is not built from merges."""
_BOS_BY_DEFAULT = ("llama-bpe", "llama3", "llama-v3", "tekken")

_END_TEXTS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end_of_text|>", "<|end|>", "</s>"),
    "<end_of_turn>",
)
"""Control tokens that end an answer in one chat format or another."""
_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


def read_vocabulary(metadata: Mapping[str, Value], vocab_size: int) -> Vocabulary:
    """From the keys `tokenizer.*`. Raises CheckpointError naming what is missing or not supported."""
    tokens = _texts(metadata, "tokens")
    if not 0 < len(tokens) <= vocab_size:
        raise CheckpointError(f"the tokenizer has {len(tokens)} tokens, the embedding table {vocab_size} rows")
    kinds = _integers(metadata, "token_type", len(tokens))
    family = metadata.get("tokenizer.ggml.model")
    if family == "gpt2":
        tokenizer, adds_bos = _byte_level(metadata, tokens)
    elif family == "llama":
        tokenizer, adds_bos = _sentence_piece(metadata, tokens), True
    else:
        raise CheckpointError(f"tokenizer {str(family)[:40]!r} is not supported; supported are gpt2, llama")
    _add_marked_tokens(tokenizer, tokens, kinds)
    bos = _token_id(metadata, "bos_token_id", len(tokens))
    if bos is not None and metadata.get("tokenizer.ggml.add_bos_token", adds_bos) is True:
        _begin_with(tokenizer, tokens[bos], bos)
    eos = _end_tokens(metadata, tokens, kinds)
    template = metadata.get("tokenizer.chat_template", "")
    return Vocabulary(
        tokenizer=tokenizer.to_str(),
        bos=bos,
        eos=eos,
        bos_text="" if bos is None else tokens[bos],
        eos_text=tokens[eos[0]],
        has_reasoning={"<think>", "</think>"} <= set(tokens),
        chat_template=template if isinstance(template, str) else "",
    )


def _byte_level(metadata: Mapping[str, Value], tokens: Sequence[str]) -> tuple[Tokenizer, bool]:
    """Byte-level BPE, and whether its kind of model starts texts with the bos token."""
    kind = str(metadata.get("tokenizer.ggml.pre", "default"))
    vocabulary = _by_text(tokens)
    merges = _merges(_texts(metadata, "merges"), vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=kind in _WHOLE_WORDS_FIRST))
    tokenizer.pre_tokenizer = _pre_tokenizer(kind)
    tokenizer.decoder = decoders.ByteLevel()
    if kind in ("qwen2", "deepseek-r1-qwen"):
        tokenizer.normalizer = normalizers.NFC()
    return tokenizer, kind in _BOS_BY_DEFAULT


def _pre_tokenizer(kind: str) -> pre_tokenizers.PreTokenizer:
    if kind in _SPLITS:
        split = pre_tokenizers.Split(Regex(_SPLITS[kind]), behavior="isolated")
        return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if kind in _DIGIT_BY_DIGIT:
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    if kind in _PLAIN:
        return words
    supported = sorted((*_SPLITS, *_DIGIT_BY_DIGIT, *_PLAIN))
    raise CheckpointError(f"pre-tokenizer {kind[:40]!r} is not supported; supported are {', '.join(supported)}")


def _sentence_piece(metadata: Mapping[str, Value], tokens: Sequence[str]) -> Tokenizer:
    scores = metadata.get("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(tokens) or not all(isinstance(s, float) for s in scores):
        raise CheckpointError("the tokenizer has no score for every token")
    vocabulary = _by_text(tokens)
    unknown = _token_id(metadata, "unknown_token_id", len(tokens))
    model = models.BPE(
        vocabulary,
        _merges_from_scores(vocabulary, [float(str(score)) for score in scores]),
        unk_token=None if unknown is None else tokens[unknown],
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    prefix = metadata.get("tokenizer.ggml.add_space_prefix", True) is True
    steps = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tail = [decoders.Strip(" ", 1, 0)] if prefix else []
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *tail])
    return tokenizer


def _merges_from_scores(vocabulary: Mapping[str, int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Every way to make a piece from two others, best score first: what SentencePiece does with them."""
    merges = []
    for piece, token in vocabulary.items():
        for cut in range(1, min(len(piece), _LONGEST_PIECE)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                merges.append((-scores[token], vocabulary[left], vocabulary[right], left, right))
    return [(left, right) for *_, left, right in sorted(merges)]


def _merges(lines: Sequence[str], vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    merges = []
    for line in lines:
        space = line.find(" ", 1)
        left, right = line[:space], line[space + 1 :]
        if space < 1 or left not in vocabulary or right not in vocabulary or left + right not in vocabulary:
            raise CheckpointError(f"the tokenizer's merge {line[:40]!r} does not join two tokens into a third")
        merges.append((left, right))
    return merges


def _add_marked_tokens(tokenizer: Tokenizer, tokens: Sequence[str], kinds: Sequence[int]) -> None:
    """Control tokens are never text; user-defined ones are text that is never split."""
    marked = [(text, kind) for text, kind in zip(tokens, kinds, strict=True) if text]
    control = [AddedToken(text, special=True, normalized=False) for text, kind in marked if kind == _CONTROL]
    whole = [AddedToken(text, normalized=False) for text, kind in marked if kind == _USER_DEFINED]
    tokenizer.add_special_tokens(control)
    tokenizer.add_tokens(whole)


def _begin_with(tokenizer: Tokenizer, text: str, token: int) -> None:
    """Start every text with the bos token, unless the caller asks for no special tokens."""
    if not text or ":" in text or text.startswith("$"):  # TemplateProcessing reads those as type ids and places
        raise CheckpointError(f"the bos token {text[:40]!r} cannot begin a text: empty, or with a colon or dollar sign")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[text, "$A"], pair=[text, "$A", "$B"], special_tokens=[(text, token)]
    )


def _end_tokens(metadata: Mapping[str, Value], tokens: Sequence[str], kinds: Sequence[int]) -> tuple[int, ...]:
    named = [_token_id(metadata, key, len(tokens)) for key in _END_KEYS]
    ids = {text: token for token, text in enumerate(tokens) if kinds[token] == _CONTROL}
    known = [ids[text] for text in _END_TEXTS if text in ids]
    ends = list(dict.fromkeys(token for token in (*named, *known) if token is not None))
    if not ends:
        raise CheckpointError("the tokenizer names no token that ends an answer (tokenizer.ggml.eos_token_id)")
    return tuple(ends)


def _by_text(tokens: Sequence[str]) -> dict[str, int]:
    """Id by text; where a text occurs twice the first one counts."""
    return {text: token for token, text in reversed(list(enumerate(tokens)))}


def _texts(metadata: Mapping[str, Value], key: str) -> list[str]:
    values = metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise CheckpointError(f"no tokenizer: metadata tokenizer.ggml.{key} is missing or not a list of texts")
    return [str(value) for value in values]


def _integers(metadata: Mapping[str, Value], key: str, count: int) -> list[int]:
    values = metadata.get(f"tokenizer.ggml.{key}", [1] * count)
    if not isinstance(values, list) or len(values) != count:
        raise CheckpointError(f"metadata tokenizer.ggml.{key} does not have a number for each of {count} tokens")
    return [value if isinstance(value, int) else 1 for value in values]


def _token_id(metadata: Mapping[str, Value], key: str, count: int) -> int | None:
    value = metadata.get(f"tokenizer.ggml.{key}")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise CheckpointError(f"metadata tokenizer.ggml.{key} is {str(value)[:40]}, which is no token")
    return value
