"""config.json of an autoglm_phone folder, and how many parameters such a model has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from edged.errors import CheckpointError

_T = TypeVar("_T")
MODEL_TYPE = "autoglm_phone"
_MOST = 2**28
"""More than any size or number of a configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """The decoder: grouped-query attention, experts, and adapters where tokens are parts of pictures or sounds."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    vision_adapter_rank: int
    audio_adapter_rank: int
    max_position_embeddings: int
    hidden_act: str = "silu"
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = True

    @property
    def expert_parameters(self) -> int:
        """Of one expert of one layer: gate, up and down."""
        return 3 * self.hidden_size * self.moe_intermediate_size

    @property
    def parameters(self) -> int:
        """All of them; the head is the embedding table."""
        return self._shared + self.num_hidden_layers * self.num_experts * self.expert_parameters

    @property
    def active_parameters(self) -> int:
        """Those that a token passes: of the experts only the chosen ones."""
        return self._shared + self.num_hidden_layers * self.num_experts_per_tok * self.expert_parameters

    @property
    def _shared(self) -> int:
        hidden, heads = self.hidden_size, self.num_attention_heads
        attention = 2 * hidden * self.head_dim * (heads + self.num_key_value_heads)
        adapters = 2 * hidden * (self.vision_adapter_rank + self.audio_adapter_rank) + 2
        layer = attention + adapters + hidden * self.num_experts + 3 * hidden
        return self.vocab_size * hidden + self.num_hidden_layers * layer + hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionConfig:
    """The eyes: convolutions, three of them strided, a small transformer, 2 x 2 neighbours to a token."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    patch_size: int = 4
    stem_channels: tuple[int, int] = (32, 96)
    stem_residuals: int = 0
    """Convolutions after the strided ones, each added to what it reads: letters are larger than a state's pixels."""
    position_side: int = 14
    merge_size: int = 2
    min_pixels: int = 224 * 224 // 2
    max_pixels: int = 224 * 224
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    rms_norm_eps: float = 1e-5

    @property
    def stride(self) -> int:
        """Pixels between two states of the transformer: the patch, then two convolutions that halve."""
        return 4 * self.patch_size

    def parameters(self, hidden_size: int) -> int:
        """With the projector into a text model of that width."""
        first, second = self.stem_channels
        stem = 3 * self.patch_size**2 * first + 9 * first * second + 9 * second * self.hidden_size
        biases = first + second + self.hidden_size
        residuals = self.stem_residuals * (9 * self.hidden_size + 1) * self.hidden_size
        return (
            stem
            + biases
            + residuals
            + self.position_side**2 * self.hidden_size
            + _encoder(self, self.merge_size**2, hidden_size)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioConfig:
    """The ears: a log-mel spectrum, two strided convolutions, a small transformer, two states to a token."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    sample_rate: int = 16000
    num_mel_bins: int = 80
    window: int = 400
    hop: int = 160
    merge_size: int = 2
    max_seconds: int = 30
    rms_norm_eps: float = 1e-5

    @property
    def stride(self) -> int:
        """Mel frames of a token."""
        return 4 * self.merge_size

    def parameters(self, hidden_size: int) -> int:
        """With the projector into a text model of that width."""
        convolutions = 3 * (self.num_mel_bins + self.hidden_size) * self.hidden_size + 2 * self.hidden_size
        return convolutions + _encoder(self, self.merge_size, hidden_size)


def _encoder(tower: VisionConfig | AudioConfig, merged: int, hidden_size: int) -> int:
    wide, inner = tower.hidden_size, tower.intermediate_size
    block = 4 * wide * wide + 2 * wide * inner + inner + wide + 2 * wide
    projector = merged * wide * hidden_size + hidden_size + hidden_size * hidden_size + hidden_size
    return tower.num_hidden_layers * block + wide + projector


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneConfig:
    """The whole model."""

    text: TextConfig
    vision: VisionConfig
    audio: AudioConfig
    image_token_id: int
    audio_token_id: int

    @property
    def parameters(self) -> int:
        """All of them."""
        hidden = self.text.hidden_size
        return self.text.parameters + self.vision.parameters(hidden) + self.audio.parameters(hidden)

    @property
    def active_parameters(self) -> int:
        """Those that a text token passes."""
        return self.text.active_parameters

    def to_json(self) -> dict[str, Any]:
        """As config.json has it."""
        return {
            "architectures": ["AutoGLMPhoneForConditionalGeneration"],
            "model_type": MODEL_TYPE,
            "text_config": asdict(self.text),
            "vision_config": asdict(self.vision),
            "audio_config": asdict(self.audio),
            "image_token_id": self.image_token_id,
            "audio_token_id": self.audio_token_id,
        }


def read_config(config: Mapping[str, Any]) -> PhoneConfig:
    """From the object in config.json. Raises CheckpointError naming the key at fault."""
    if config.get("model_type") != MODEL_TYPE:
        raise CheckpointError(f"config.json: model_type is {str(config.get('model_type'))[:40]!r}, not {MODEL_TYPE}")
    return PhoneConfig(
        text=read_section(TextConfig, config, "text_config"),
        vision=read_section(VisionConfig, config, "vision_config"),
        audio=read_section(AudioConfig, config, "audio_config"),
        image_token_id=_token(config, "image_token_id"),
        audio_token_id=_token(config, "audio_token_id"),
    )


def _token(config: Mapping[str, Any], key: str) -> int:
    if type(value := config.get(key)) is not int or value < 0:
        raise CheckpointError(f"config.json: {key} must be the number of a token")
    return value


def read_section(kind: type[_T], config: Mapping[str, Any], name: str) -> _T:
    """One of the three objects in config.json; keys that are not known are passed over. Raises CheckpointError."""
    section = config.get(name)
    if not isinstance(section, dict):
        raise CheckpointError(f"config.json: {name} must be an object")
    kinds = get_type_hints(kind)
    values = {
        field.name: _value(
            section[field.name], kinds[field.name], f"{name}.{field.name}", 0 if field.default == 0 else 1
        )
        for field in fields(kind)  # type: ignore[arg-type]  # all three are dataclasses
        if field.name in section
    }
    try:
        return kind(**values)
    except TypeError as exc:
        raise CheckpointError(f"config.json: {name} lacks a key: {str(exc)[-80:]}") from exc


def _value(value: object, kind: Any, key: str, least: int) -> Any:
    """What a key holds, if it is of its kind and a size that is possible; whole numbers are not below `least`."""
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if isinstance(value, list) and len(value) == len(kinds):
            return tuple(_value(one, each, key, least) for one, each in zip(value, kinds, strict=True))
    elif kind is int:
        if type(value) is int and least <= value < _MOST:
            return value
    elif kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST:
            return float(value)
    elif type(value) is kind:
        return value
    raise CheckpointError(f"config.json: {key} cannot be {str(value)[:40]}")


FULL_SIZE = PhoneConfig(
    text=TextConfig(
        vocab_size=151552,
        hidden_size=2048,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=2,
        head_dim=128,
        num_experts=56,
        num_experts_per_tok=4,
        moe_intermediate_size=1024,
        vision_adapter_rank=64,
        audio_adapter_rank=64,
        max_position_embeddings=32768,
    ),
    vision=VisionConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        stem_channels=(96, 288),
        position_side=56,
        max_pixels=896 * 896,
    ),
    audio=AudioConfig(hidden_size=512, num_hidden_layers=6, num_attention_heads=8, intermediate_size=2048),
    image_token_id=151343,
    audio_token_id=151346,
)
"""The article's AutoGLM-Phone-9B."""
