"""What tensors are called: by GGUF, by Hugging Face, and by us (`Checkpoint.tensors`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Naming:
    """One format's names."""

    layer: re.Pattern[str]
    """Number, part and leaf of a tensor that belongs to a layer."""
    parts: Mapping[str, str]
    """Part of a layer -> ours."""
    others: Mapping[str, str]
    """What belongs to no layer -> ours."""

    def canonical(self, name: str) -> str:
        """Our name, or the name itself where there is none: the check of tensors will list it."""
        if match := self.layer.fullmatch(name):
            layer, part, leaf = match.groups()
            return f"layers.{layer}.{self.parts[part]}.{leaf}" if part in self.parts else name
        part, _, leaf = name.rpartition(".")
        return f"{self.others[part]}.{leaf}" if part in self.others else name


GGUF = Naming(
    layer=re.compile(r"blk\.([0-9]{1,4})\.(\w+)\.(weight|bias)"),
    parts={
        "attn_norm": "attention_norm",
        "attn_q": "q",
        "attn_k": "k",
        "attn_v": "v",
        "attn_output": "o",
        "attn_q_norm": "q_norm",
        "attn_k_norm": "k_norm",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "gate",
        "ffn_up": "up",
        "ffn_down": "down",
    },
    others={"token_embd": "embedding", "output_norm": "norm", "output": "head"},
)
HUGGING_FACE = Naming(
    layer=re.compile(r"model\.layers\.([0-9]{1,4})\.([\w.]+)\.(weight|bias)"),
    parts={
        "input_layernorm": "attention_norm",
        "self_attn.q_proj": "q",
        "self_attn.k_proj": "k",
        "self_attn.v_proj": "v",
        "self_attn.o_proj": "o",
        "self_attn.q_norm": "q_norm",
        "self_attn.k_norm": "k_norm",
        "post_attention_layernorm": "mlp_norm",
        "mlp.gate_proj": "gate",
        "mlp.up_proj": "up",
        "mlp.down_proj": "down",
    },
    others={"model.embed_tokens": "embedding", "model.norm": "norm", "lm_head": "head"},
)
