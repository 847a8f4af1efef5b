"""What a camera does to drawn pictures, a batch at a time: tilt, blur, uneven light, grain, each now and then.

`canvas.photographed` does the like to one picture; a GPU takes hundreds at once, and another way each time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_BLURRED = 4
"""Every so manieth picture."""
_RANK = 1 << 10
"""More than there are names of marks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tilt:
    """A turn counter-clockwise about the middle, and how much larger the canvas becomes by it."""

    cos: Tensor  # (pictures,)
    sin: Tensor
    wider: Tensor
    higher: Tensor


def photograph(
    pixels: Tensor, marks: Tensor, tilts: Tensor, stride: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Photographs, and what is in each stride x stride pixels of them.

    pixels: uint8 (pictures, 3, height, width); marks: x and y in pixels and the number of what is there, 0 for no
    mark (pictures, marks, 3); tilts: degrees that each may be tilted by, at most (pictures,).
    Returns float32 from 0 to 255 (pictures, 3, height, width) and numbers (pictures, height / stride, width / stride).
    """
    height, width = pixels.shape[2:]
    tilt = _tilt(tilts, height / width, random)
    taken = _tilted(pixels.float(), tilt, random)
    taken = _blurred(taken, random)
    taken = _lit(taken, random)
    taken = _grained(taken, random)
    return taken.clamp_(0, 255), _cells(_moved(marks, tilt, height, width), height // stride, width // stride, stride)


def _tilt(tilts: Tensor, aspect: float, random: torch.Generator) -> _Tilt:
    draw = torch.rand(3, len(tilts), generator=random, device=tilts.device)
    angles = torch.where(draw[0] < 0.5, torch.deg2rad(tilts) * (2 * draw[1] - 1), 0.0)
    cos, sin, expanded = angles.cos(), angles.sin(), draw[2] < 0.6
    wider, higher = (torch.where(expanded, cos + sin.abs() * side, 1.0) for side in (aspect, 1 / aspect))
    return _Tilt(cos=cos, sin=sin, wider=wider, higher=higher)


def _tilted(pixels: Tensor, tilt: _Tilt, random: torch.Generator) -> Tensor:
    """The border in any colour, or in that of the corner."""
    count, _, height, width = pixels.shape
    zero = torch.zeros_like(tilt.cos)
    rows = (
        torch.stack((tilt.cos * tilt.wider, -tilt.sin * tilt.higher * height / width, zero), -1),
        torch.stack((tilt.sin * tilt.wider * width / height, tilt.cos * tilt.higher, zero), -1),
    )
    grid = functional.affine_grid(torch.stack(rows, 1), [count, 1, height, width], align_corners=False)
    draw = torch.rand(count, 4, 1, 1, generator=random, device=pixels.device)
    border = torch.where(draw[:, 3:] < 0.5, 255 * draw[:, :3], pixels[:, :, :1, :1])
    return functional.grid_sample(pixels - border, grid, align_corners=False) + border


def _blurred(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Some of them, by a Gaussian of 0.3 to 1.1 pixels."""
    count = len(pixels) // _BLURRED
    chosen = torch.randperm(len(pixels), generator=random, device=pixels.device)[:count]
    sigma = 0.3 + 0.8 * torch.rand(count, generator=random, device=pixels.device)
    blurred = pixels.index_select(0, chosen)
    kernel = torch.exp(-0.5 * (torch.arange(-2, 3, device=pixels.device) / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).T[..., None, None, None]  # (5, pictures, 1, 1, 1)
    for dim in (2, 3):
        around = (0, 0, 2, 2) if dim == 2 else (2, 2, 0, 0)
        padded = functional.pad(blurred, around, mode="replicate")
        blurred = sum(
            (kernel[tap] * padded.narrow(dim, tap, pixels.shape[dim]) for tap in range(5)), torch.zeros_like(blurred)
        )
    return pixels.index_copy(0, chosen, blurred)


def _lit(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Half of them, by a field that changes slowly."""
    count, _, height, width = pixels.shape
    draw = torch.rand(count, 10, generator=random, device=pixels.device)
    corners = (0.7 + 0.6 * draw[:, :9]).view(count, 1, 3, 3)
    field = functional.interpolate(corners, (height, width), mode="bilinear", align_corners=True)
    return pixels * torch.where(draw[:, 9].view(-1, 1, 1, 1) < 0.5, field, 1.0)


def _grained(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Two of five, by 1 to 12 of 255; the grain of half of those is two pixels wide."""
    count, colours, height, width = pixels.shape
    draw = torch.rand(3, count, 1, 1, 1, generator=random, device=pixels.device)
    fine = torch.randn(pixels.shape, generator=random, device=pixels.device)
    coarse = torch.randn(count, colours, height // 2, width // 2, generator=random, device=pixels.device)
    grain = torch.where(draw[2] < 0.5, fine, functional.interpolate(coarse, (height, width)))
    return pixels.addcmul_(grain, torch.where(draw[0] < 0.4, 1 + 11 * draw[1], 0.0))


def _moved(marks: Tensor, tilt: _Tilt, height: int, width: int) -> Tensor:
    """Where they are once the picture is tilted."""
    x, y, number = marks.unbind(-1)
    x, y = x - width / 2, y - height / 2
    cos, sin = tilt.cos[:, None], tilt.sin[:, None]
    turned = (cos * x + sin * y) / tilt.wider[:, None], (cos * y - sin * x) / tilt.higher[:, None]
    return torch.stack((turned[0] + width / 2, turned[1] + height / 2, number), -1)


def _cells(marks: Tensor, rows: int, columns: int, stride: int) -> Tensor:
    """The number of what is in each; the last of several."""
    x, y, number = (marks[..., 0] // stride).long(), (marks[..., 1] // stride).long(), marks[..., 2].long()
    is_there = (number > 0) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    order = torch.arange(1, marks.shape[1] + 1, device=marks.device)
    ranked = torch.where(is_there, order * _RANK + number, 0)
    places = torch.where(is_there, y * columns + x, 0)
    grid = torch.zeros(len(marks), rows * columns, dtype=torch.long, device=marks.device)
    return (grid.scatter_reduce(1, places, ranked, "amax") % _RANK).view(-1, rows, columns)
