"""How large the nano is: 23 M parameters, 3.5 M of them for a token of text, 15 MB at 4 bits."""

from __future__ import annotations

from engines.autoglm_phone.config import AudioConfig, PhoneConfig, TextConfig, VisionConfig

from .tokenizer import AUDIO, IMAGE, VOCAB_SIZE, tokenizer

NAME = "autoglm-phone-nano"
BLOCK_SIZE = 64


def nano_config() -> PhoneConfig:
    """The article's design with everything in it, small enough to be trained on two cores."""
    numbers = tokenizer().get_vocab()
    return PhoneConfig(
        text=TextConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=256,
            num_hidden_layers=6,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=64,
            num_experts=16,
            num_experts_per_tok=2,
            moe_intermediate_size=192,
            vision_adapter_rank=64,
            audio_adapter_rank=64,
            max_position_embeddings=1024,
        ),
        vision=VisionConfig(
            hidden_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=1024,
            stem_channels=(48, 128),
            stem_residuals=2,
            min_pixels=40960,
        ),
        audio=AudioConfig(hidden_size=192, num_hidden_layers=4, num_attention_heads=3, intermediate_size=768),
        image_token_id=numbers[IMAGE],
        audio_token_id=numbers[AUDIO],
    )
