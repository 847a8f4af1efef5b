"""Whether an artefact is what its manifest says: its files, and what it computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edged.engine.manifest import Manifest, read_manifest, verify_files
from edged.errors import ArtefactError

from . import gate
from .audio.artefact import audio_agreement
from .expert_use import described, draw, expert_use, require_chart
from .vision.artefact import vision_agreement

TOLERANCE = 0.005
"""How far perplexity may lie from the one in the manifest: kernels of another processor round differently."""


def verify(folder: Path, plots: Path | None = None) -> str:
    """A table of the findings. Raises ArtefactError when a file differs or the engine computes something else.

    plots: folder for a chart of what each expert does; raises InvalidInput, MissingExtra where there can be none.
    """
    manifest = read_manifest(folder)
    if plots is not None:
        require_chart(manifest)
    verify_files(folder, manifest)
    quality = manifest.quality
    if not quality.perplexity > 0 or not quality.float_perplexity > 0 or quality.text not in gate.text_names():
        raise ArtefactError(f"{folder}: the manifest's quality is of no text that this edged could measure again")
    tokenizer = (folder / manifest.tokenizer_file).read_text(encoding="utf-8")
    text = gate.read_text(quality.text, tokenizer, manifest.context_length)
    found = gate.engine_perplexity(folder, manifest, text)
    rows = [
        ("files", f"{len(manifest.files)} as in the manifest, {manifest.disk_bytes / 1e6:.1f} MB"),
        ("precision", manifest.precision.label),
        ("source", f"{manifest.source.name} ({manifest.source.quantization}), {manifest.license}"),
        ("text", f"{quality.text}, {text.predictions} predictions"),
        ("perplexity now", f"{found:.3f}"),
        ("perplexity at build", f"{quality.perplexity:.3f}"),
        ("perplexity in float", f"{quality.float_perplexity:.3f}"),
        ("loss", f"{found / quality.float_perplexity - 1:.2%}, allowed {quality.max_perplexity_loss:.0%}"),
        ("top-1 agreement", f"{quality.top1_agreement:.1%} at build"),
        ("KL divergence", f"{quality.kl_divergence:.4f} at build"),
    ]
    if not abs(found / quality.perplexity - 1) <= TOLERANCE:
        raise ArtefactError(
            f"{folder}: perplexity is {found:.3f}, at build it was {quality.perplexity:.3f}: "
            "it does not compute what it did"
        )
    rows += _senses(folder, manifest)
    if plots is not None:
        rows += _experts(folder, manifest, text, plots)
    return "\n".join(f"{name:20} {value}" for name, value in rows)


def _senses(folder: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Eyes and ears; raises ArtefactError where a tower's two graphs differ."""
    if (vision := manifest.vision) is not None:
        cosine = vision_agreement(folder, vision)
        yield "vision", f"{vision.precision}; cosine {vision.cosine_similarity:.4f} with float at build"
        yield "vision now", f"cosine {cosine:.4f} of {vision.file} with {vision.standard}"
    if (audio := manifest.audio) is not None:
        cosine = audio_agreement(folder, audio)
        yield "audio", f"{audio.precision}; cosine {audio.cosine_similarity:.4f} with float at build"
        yield "audio now", f"cosine {cosine:.4f} of {audio.file} with {audio.standard}"


def _experts(folder: Path, manifest: Manifest, text: gate.Text, plots: Path) -> Iterator[tuple[str, str]]:
    """What the routers choose, drawn as well."""
    use = expert_use(folder, manifest, text)
    plots.mkdir(parents=True, exist_ok=True)
    chart = plots / f"{manifest.name}-experts.png"
    draw(use, manifest.graph.experts_per_token, manifest.title, chart)
    yield from described(use)
    yield "chart", str(chart)
