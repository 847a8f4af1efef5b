"""What has become of a model's weights, for the manifest and for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from edged.engine.manifest import Precision

from .calibrate import Method
from .checkpoint import Checkpoint
from .graph.integer_weights import Bits, IntegerFormat
from .quantize import fitting, kept

_NAMES: Mapping[int, str] = {4: "INT4", 8: "INT8", 16: "float"}


def precision_of(
    checkpoint: Checkpoint, format_: IntegerFormat, method: Method, written: Mapping[str, Bits]
) -> Precision:
    """`written` says what each matrix of the layers (`Architecture.matrices`), embedding and head was stored in."""
    linear = {name: bits for name, bits in written.items() if name.startswith("layers.")}
    encodings, all_kept, block_size = _kept(checkpoint, format_, linear)
    counts = Counter(linear.values())
    usual: Bits = max(sorted(counts), key=counts.__getitem__)  # of as many, the smaller, which more is said of
    others = [
        f"{_NAMES[bits]} {_called([name for name in linear if linear[name] == bits], linear)}"
        for bits in sorted(set(linear.values()) - {usual})
    ]
    if usual == 16:
        blocks = ""
    elif all_kept:
        blocks = f" ({', '.join(encodings)} blocks kept)"
    else:
        by = "" if method == "round" else f" by {method.upper()}"
        blocks = f" in blocks of {block_size}{by}" + (f" ({', '.join(encodings)} blocks kept)" if encodings else "")
    head, embedding = _NAMES[written["head"]], _NAMES[written["embedding"]]
    tables = f"{head} head and embedding" if head == embedding else f"{head} head, {embedding} embedding"
    return Precision(
        linear=",".join(encodings).lower() if all_kept else _NAMES[usual].lower(),
        block_size=block_size,
        head=head.lower(),
        embedding=embedding.lower(),
        label=", ".join([f"{_NAMES[usual]}{blocks}", *others, tables]),
    )


def _kept(checkpoint: Checkpoint, format_: IntegerFormat, names: Mapping[str, Bits]) -> tuple[list[str], bool, int]:
    """Encodings whose blocks were taken over, whether those of all matrices were, and the size of most blocks."""
    encodings, rest, sizes = set(), False, Counter[int]()
    for name in names:
        layer, _, kind = name.rpartition(".")
        rounding = format_.rounding(name)
        if rounding is None:
            continue
        tensors = [checkpoint.tensors[f"{layer}.{part}.weight"] for part in checkpoint.architecture.matrices[kind]]
        fit = fitting(tensors, rounding)
        sizes[fit.block_size] += 1
        for tensor in tensors:
            # What stands side by side keeps blocks of its own size.
            if kept(tensor, fitting([tensor], rounding) if kind == "adapter_up" else fit):
                encodings.add(tensor.encoding)
            else:
                rest = True
    return sorted(encodings), bool(encodings) and not rest, sizes.most_common(1)[0][0] if sizes else 0


def _called(names: Sequence[str], all_names: Mapping[str, Bits]) -> str:
    """The kinds of matrices these are, where they are all of their kind; else the layers; else how many."""
    kinds = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
    if len(names) == sum(name.rpartition(".")[2] in kinds for name in all_names):
        return " and ".join(kinds)
    layers = list(dict.fromkeys(name.split(".")[1] for name in names))
    if len(names) == sum(name.split(".")[1] in layers for name in all_names) and len(layers) <= 4:
        return f"layers {', '.join(layers)}" if len(layers) > 1 else f"layer {layers[0]}"
    return f"in {len(names)} of {len(all_names)} matrices"
