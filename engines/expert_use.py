"""Which experts the routers of an artefact choose: for words, for a picture, for a recording. Figures and a chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.engine.manifest import Manifest
from edged.engine.onnx_session import OnnxSession
from edged.engine.session import Sight, TokenType
from edged.errors import InvalidInput, MissingExtra

from . import gate
from .audio.artefact import recording_inputs
from .encoder.measure import run_graph
from .tensor import Floats
from .vision.artefact import picture_inputs

Shares = NDArray[np.float64]
"""Of the tokens of each layer, those that pass an expert.  # (layers, experts)"""


def require_chart(manifest: Manifest) -> None:
    """Raise InvalidInput where there is nothing to draw, MissingExtra where nothing draws."""
    if not manifest.graph.experts:
        raise InvalidInput(f"{manifest.name} has no experts: every token passes all of its weights, nothing to plot")
    try:
        import matplotlib  # noqa: F401  # whether it is there
    except ModuleNotFoundError as exc:
        raise MissingExtra("plots need an extra: `make setup EXTRAS=plots` or pip install 'edged[plots]'") from exc


def expert_use(folder: Path, manifest: Manifest, text: gate.Text) -> dict[str, Shares]:
    """By what is read: the text, and where the model takes them in, a test picture and a test recording."""
    session = OnnxSession(folder, manifest, max_seq_len=gate.SEGMENT_TOKENS, threads=0)
    found, before = {}, _counts(session)
    for name, runs in _readings(folder, manifest, text).items():
        for tokens, sight in runs:
            memory = session.allocate()
            for start in range(0, len(tokens), gate.STEP_TOKENS):
                part = slice(start, start + gate.STEP_TOKENS)
                session.prefill(memory, start, tokens[part], sight=None if sight is None else _cut(sight, part))
        after = _counts(session)
        counted = after - before
        found[name] = counted / counted.sum(axis=1, keepdims=True) * manifest.graph.experts_per_token
        before = after
    return found


def draw(use: Mapping[str, Shares], chosen: int, title: str, path: Path) -> None:
    """Write a PNG with a panel for each kind of tokens. chosen: experts that a token passes."""
    from matplotlib.figure import Figure

    layers, experts = next(iter(use.values())).shape
    figure = Figure(
        figsize=(max(6.0, 0.45 * experts + 2), len(use) * max(1.6, 0.35 * layers + 1)), layout="constrained"
    )
    axes = figure.subplots(len(use), 1, squeeze=False, sharex=True)[:, 0]
    most = max(float(shares.max()) for shares in use.values())
    for (name, shares), axis in zip(use.items(), axes, strict=True):
        image = axis.imshow(100 * shares, aspect="auto", cmap="viridis", vmin=0, vmax=100 * most)
        axis.set(ylabel="layer", title=f"{name}: {_evenness(shares):.0%} even, {_idle(shares)} of {shares.size} idle")
        axis.set_yticks(range(0, layers, max(1, layers // 12)))
        figure.colorbar(image, ax=axis, label="% of tokens")
    axes[-1].set(xlabel="expert", xticks=range(0, experts, max(1, experts // 28)))
    figure.suptitle(f"{title}: tokens that pass each expert, evenly {chosen / experts:.1%}")
    figure.savefig(path, dpi=120, metadata={"Software": None})


def described(use: Mapping[str, Shares]) -> Iterator[tuple[str, str]]:
    """Rows for a table."""
    for name, shares in use.items():
        layers, experts = shares.shape
        busiest = int(shares.max(axis=0).argmax())
        yield (
            f"experts, {name}",
            f"{_evenness(shares):.0%} even; {_idle(shares)} of {layers * experts} idle; at most "
            f"{shares.max():.0%} of a layer's tokens in one (expert {busiest})",
        )


def _evenness(shares: Shares) -> float:
    """Entropy of the load over that of an even one, mean of the layers: 1 where all experts do the same."""
    load = shares / shares.sum(axis=1, keepdims=True)
    entropy = -(load * np.log(np.where(load > 0, load, 1))).sum(axis=1)
    return float(entropy.mean() / np.log(shares.shape[1])) if shares.shape[1] > 1 else 1.0


def _idle(shares: Shares) -> int:
    """Experts that no token passed, in all layers."""
    return int((shares == 0).sum())


def _counts(session: OnnxSession) -> NDArray[np.int64]:
    load = session.expert_load
    assert load is not None  # of a model with experts
    return load


def _readings(
    folder: Path, manifest: Manifest, text: gate.Text
) -> dict[str, list[tuple[tuple[int, ...], Sight | None]]]:
    """Sequences of tokens by what they are part of."""
    readings: dict[str, list[tuple[tuple[int, ...], Sight | None]]] = {"text": [(one, None) for one in text.segments]}
    if (vision := manifest.vision) is not None:
        rows = run_graph(folder / vision.file, picture_inputs(vision))
        readings["picture"] = [_seen(rows, TokenType.IMAGE, manifest)]
    if (audio := manifest.audio) is not None:
        rows = run_graph(folder / audio.file, recording_inputs(audio))
        readings["recording"] = [_seen(rows, TokenType.AUDIO, manifest)]
    return readings


def _seen(rows: Floats, kind: TokenType, manifest: Manifest) -> tuple[tuple[int, ...], Sight]:
    rows = rows[: min(manifest.context_length, gate.SEGMENT_TOKENS)]
    count = len(rows)
    sight = Sight(
        positions=np.tile(np.arange(count), (3, 1)), embeddings=rows, types=np.full(count, kind.value, np.int64)
    )
    return tuple(range(-count, 0)), sight


def _cut(sight: Sight, part: slice) -> Sight:
    return Sight(positions=sight.positions[:, part], embeddings=sight.embeddings[part], types=sight.types[part])
