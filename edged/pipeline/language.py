"""Language tags."""

from __future__ import annotations


def primary_language(tag: str) -> str:
    """zh-CN -> zh, en_US -> en; Mandarin counts as zh."""
    primary = tag.lower().replace("_", "-").partition("-")[0]
    return "zh" if primary == "cmn" else primary
