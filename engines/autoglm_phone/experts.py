"""The mixture of experts: a router, and SwiGLU experts of which a token passes a few."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import TextConfig

_ROWS = 64
_ROOM = 4
"""Times an even share of the tokens."""


class Expert(nn.Module):
    """The matrices of down(silu(gate(x)) * up(x))."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, hidden) to the same."""
        return cast(Tensor, self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x)))


class MixtureOfExperts(nn.Module):
    """Tokens go to the experts that the router scores highest, weighted by the softmax over those."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.chosen = config.num_experts_per_tok
        self.router = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = nn.ModuleList(
            Expert(config.hidden_size, config.moe_intermediate_size) for _ in range(config.num_experts)
        )
        self.router_logits = torch.empty(0)
        """Of the last forward pass.  # (tokens, experts)"""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, hidden) to the same."""
        flat = x.reshape(-1, x.shape[-1])
        with torch.autocast(x.device.type, enabled=False):  # half precision would choose other experts
            self.router_logits = functional.linear(flat.float(), self.router.weight)
        best, choice = self.router_logits.topk(self.chosen, dim=-1)
        order = choice.flatten().argsort(stable=True)  # choices, expert by expert
        mine = choice.flatten()[order]
        tokens = order // self.chosen
        counts = torch.zeros(len(self.experts), dtype=torch.long, device=x.device)
        counts = counts.scatter_add(0, mine, torch.ones_like(mine))
        if torch.is_autocast_enabled(x.device.type):
            flat = flat.to(torch.get_autocast_dtype(x.device.type))  # once, not for each product
        rows = flat.index_select(0, tokens)
        outputs = self._one_by_one(rows, counts) if can_look_at(counts) else self._together(rows, mine, counts)
        weights = best.softmax(-1).flatten()[order, None]
        mixed = torch.zeros_like(flat, dtype=torch.float32).index_add(0, tokens, outputs.float() * weights)
        return mixed.view_as(x)

    def _one_by_one(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Rows (rows, hidden) to the same, each by its expert: they lie in the order of those, so many for each."""
        parts = zip(self.experts, torch.split(rows, counts.tolist()), strict=True)
        return torch.cat([expert(part) for expert, part in parts])

    def _together(self, rows: Tensor, mine: Tensor, counts: Tensor) -> Tensor:
        """The same in three products for all, each expert with as much room; mine: which one a row belongs to."""
        room = self._room(counts, len(rows) // self.chosen)
        within = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[mine]
        places = torch.where(within < room, mine * room + within, len(self.experts) * room)  # the last is for the rest
        placed = rows.new_zeros(len(self.experts) * room + 1, rows.shape[1]).index_copy(0, places, rows)
        outputs = self._through(placed[:-1].view(len(self.experts), room, -1)).flatten(0, 1)
        return torch.cat((outputs, outputs.new_zeros(1, rows.shape[1]))).index_select(0, places)

    def _room(self, counts: Tensor, tokens: int) -> int:
        """Rows for each expert: as many as the busiest one needs.

        While a GPU learns, as many as is likely, lest it waits to be asked; what is beyond that passes no expert.
        """
        if not self.training:
            return _rounded(int(counts.max()))
        return min(_rounded(_ROOM * tokens * self.chosen // len(self.experts)), tokens)

    def _through(self, rows: Tensor) -> Tensor:
        """All experts at once, each its own rows: three products for all.  # (experts, rows, hidden) to the same"""
        gate, up, down = (
            torch.stack([cast(nn.Linear, expert.get_submodule(name)).weight for expert in self.experts]).mT
            for name in ("gate_proj", "up_proj", "down_proj")
        )
        return (functional.silu(rows @ gate) * (rows @ up)) @ down

    def load_balance(self, counted: Tensor) -> Tensor:
        """Auxiliary loss: 1 when all experts are asked equally often, more when few are. Of the last forward pass.

        counted: (tokens,) of bool, which tokens are no padding. Source: Switch Transformers, arXiv:2101.03961, eq. 4.
        """
        logits, weights = self.router_logits, (counted / counted.sum())[:, None]
        choice = logits.topk(self.chosen, dim=-1).indices
        share = (torch.zeros_like(logits).scatter(1, choice, 1 / self.chosen) * weights).sum(0)
        return logits.shape[1] * (share * (logits.softmax(-1) * weights).sum(0)).sum()


def can_look_at(x: Tensor) -> bool:
    """Whether it costs nothing to look at a number, as on a CPU."""
    return not x.is_cuda


def _rounded(rows: int) -> int:
    """Up to one of few sizes: kernels are made anew for every other one."""
    return rows if rows <= _ROWS else -(-rows // _ROWS) * _ROWS
