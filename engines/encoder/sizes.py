"""The transformer in the eyes and ears of autoglm_phone: which tensors it is made of, and whether they can be."""

from __future__ import annotations

from collections.abc import Mapping

from edged.errors import CheckpointError
from engines.architecture import check_shapes
from engines.autoglm_phone.config import AudioConfig, VisionConfig
from engines.tensor import Tensor

Config = VisionConfig | AudioConfig
_MOST_LAYERS = 1024
_MOST_WIDTH = 2**17
_MOST_MERGED = 16


def expected_encoder(config: Config, merged: int, width: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of blocks, last norm and projector.

    merged: states that become one token. width: of the text model.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        "norm.weight": (hidden,),
        "projector.0.weight": (width, merged * hidden),
        "projector.0.bias": (width,),
        "projector.2.weight": (width, width),
        "projector.2.bias": (width,),
    }
    for block in range(config.num_hidden_layers):
        shapes |= {
            f"blocks.{block}.norm1.weight": (hidden,),
            f"blocks.{block}.norm2.weight": (hidden,),
            f"blocks.{block}.attn.qkv.weight": (3 * hidden, hidden),
            f"blocks.{block}.attn.proj.weight": (hidden, hidden),
            f"blocks.{block}.mlp.fc1.weight": (inner, hidden),
            f"blocks.{block}.mlp.fc1.bias": (inner,),
            f"blocks.{block}.mlp.fc2.weight": (hidden, inner),
            f"blocks.{block}.mlp.fc2.bias": (hidden,),
        }
    return shapes


def check_encoder(config: Config, place: str) -> None:
    """Refuse sizes that no tower has, before anything is made of them. Raises CheckpointError."""
    hidden, heads = config.hidden_size, config.num_attention_heads
    if config.num_hidden_layers > _MOST_LAYERS or max(hidden, config.intermediate_size) > _MOST_WIDTH:
        raise CheckpointError(
            f"config.json: {place}: {config.num_hidden_layers} layers of {hidden} and {config.intermediate_size} are "
            "not possible"
        )
    if hidden % heads or hidden // heads % 4 or hidden < 4:
        raise CheckpointError(f"config.json: {place}: {hidden} wide with {heads} heads is not possible")
    if config.merge_size > _MOST_MERGED or not 0 < config.rms_norm_eps < 1:
        raise CheckpointError(
            f"config.json: {place}: merge_size {config.merge_size} and rms_norm_eps {config.rms_norm_eps} are not "
            "possible"
        )


def check_tensors(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], part: str) -> None:
    """That the checkpoint has exactly these. part: "visual" or "audio", as it calls them. Raises CheckpointError."""
    named = {f"{part}.{name}": shape for name, shape in expected.items()}
    check_shapes(named, {f"{part}.{name}": tensor for name, tensor in tensors.items()}, f"the {part} tower")
