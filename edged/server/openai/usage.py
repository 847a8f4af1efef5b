"""What answers cost and how likely their words were, as OpenAI's documentation has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edged.events import TokenLogprob, Usage


def usage_of(prompts: Sequence[Usage], answers: Sequence[Usage]) -> dict[str, Any]:
    """prompts: of one answer to each prompt, since several answers to one have read it once."""
    prompt = sum(usage.prompt_tokens for usage in prompts)
    completion = sum(usage.completion_tokens for usage in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(usage.cached_tokens for usage in prompts)},
        "completion_tokens_details": {"reasoning_tokens": sum(usage.reasoning_tokens for usage in answers)},
    }


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Of the tokens of a chat's answer."""
    return [{**_token(token), "top_logprobs": [_token(one) for one in token.top]} for token in tokens]


def _token(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.data)}
