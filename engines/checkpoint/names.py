"""What tensors are called: by GGUF, by Hugging Face, and by us (`Checkpoint.tensors`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_EXPERT = re.compile(r"mlp\.(experts\.(?:0|[1-9][0-9]{0,3}))\.(\w+)")
"""Part of a layer that is one expert's: which, and the part that it would be of a layer without experts."""


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
            expert = ""
            if found := _EXPERT.fullmatch(part):
                expert, part = f"{found.group(1)}.", f"mlp.{found.group(2)}"
            return f"layers.{layer}.{expert}{self.parts[part]}.{leaf}" if part in self.parts else name
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
        "post_attention_norm": "attention_post_norm",
        "post_ffw_norm": "mlp_post_norm",
        "ffn_gate": "gate",
        "ffn_up": "up",
        "ffn_down": "down",
    },
    others={"token_embd": "embedding", "output_norm": "norm", "output": "head"},
)
_HUGGING_FACE_LAYER = {
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
}
_GEMMA_NORMS = {
    "post_attention_layernorm": "attention_post_norm",
    "pre_feedforward_layernorm": "mlp_norm",
    "post_feedforward_layernorm": "mlp_post_norm",
}
_OWN_PARTS = {
    "gemma2": _GEMMA_NORMS,
    "gemma3": _GEMMA_NORMS,
    "gemma3_text": _GEMMA_NORMS,
    "glm4v": {
        "post_self_attn_layernorm": "attention_post_norm",
        "post_mlp_layernorm": "mlp_post_norm",
        "mlp.gate_up_proj": "gate_up",
    },
    "autoglm_phone": {
        "adapter_norm": "adapter_norm",
        "mlp.router": "router",
        **{
            f"{adapter}{part}": f"{adapter}{part}"
            for adapter in ("vision_adapter", "audio_adapter")
            for part in ("", ".down", ".up")
        },
    },
}
"""Where model types differ in their names. The same name may stand for another norm."""
_TEXT = r"(?:model\.language_model\.|language_model\.model\.|model\.)"
_VISION = {
    "gemma3": re.compile(r"(?:model\.)?((?:vision_tower|multi_modal_projector)\..+)"),
    "glm4v": re.compile(r"(?:model\.)?visual\.(.+)"),
    "autoglm_phone": re.compile(r"model\.visual\.(.+)"),
}
_AUDIO = {"autoglm_phone": re.compile(r"model\.audio\.(.+)")}


def hugging_face(model_type: str) -> Naming:
    """Names in a folder of that model type; those that see put `language_model` into some or not."""
    return Naming(
        layer=re.compile(_TEXT + r"layers\.([0-9]{1,4})\.([\w.]+)\.(weight|bias|gate)"),
        parts={**_HUGGING_FACE_LAYER, **_OWN_PARTS.get(model_type, {})},
        others={
            f"{prefix}{name}": ours
            for prefix in ("model.", "model.language_model.", "language_model.model.")
            for name, ours in (("embed_tokens", "embedding"), ("norm", "norm"))
        }
        | {"lm_head": "head", "language_model.lm_head": "head"},
    )


def vision_name(model_type: str, name: str) -> str | None:
    """What a tensor is called within the part of the model that sees; None where it belongs to another part."""
    return _inner_name(_VISION, model_type, name)


def audio_name(model_type: str, name: str) -> str | None:
    """The same for the part that hears."""
    return _inner_name(_AUDIO, model_type, name)


def _inner_name(patterns: Mapping[str, re.Pattern[str]], model_type: str, name: str) -> str | None:
    match = patterns[model_type].fullmatch(name) if model_type in patterns else None
    return match.group(1) if match else None
