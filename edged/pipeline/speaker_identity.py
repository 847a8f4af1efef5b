"""Whose voice it was, among people who are enrolled.

Pure: it is given voiceprints, which are of length 1 and as alike as their product is near 1.

How alike is alike enough was measured on 2026-11-26, with Resemblyzer's weights, on ten voices (LibriVox's reader, two
of other recordings, Piper's, six of espeak-ng and flite), sentences of 1 to 7 seconds in a quiet room, two people
enrolled by three sentences each: at 0.75, 0.8 % of what they said got no name, and 0.3 % of what strangers said got
one; nobody got another's. At 0.70 that was 0.1 % and 3.8 %, at 0.80 6.1 % and none. A wrong name does more harm than
none. In noise (15 dB) half of what they say gets no name. `python -m tests.bench.speakers` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edged.pipeline.ports import Voiceprint

ALIKE = 0.75
"""From here on it may be the same voice."""
LEAD = 0.05
"""What the likeliest person must be ahead of the next, for voices that are much alike."""
RECORDINGS_ALIKE = 0.70
"""Each recording and the mean of the others, when one person is enrolled. Of three short sentences of one voice this
refuses 1 %, of two and one of another voice 98 %."""
TAKEN = 0.80
"""Two people this much alike are one. Means of three sentences: different people reached 0.74, the same 0.82."""


def identify(voiceprint: Voiceprint, people: Mapping[str, Voiceprint]) -> str:
    """Name of the enrolled person whose voice it is; empty where that is nobody's, or not clear."""
    scores = sorted(((_alike(voiceprint, own), name) for name, own in people.items()), reverse=True)
    if not scores or not scores[0][0] >= ALIKE:  # not a number is not alike
        return ""
    if len(scores) > 1 and scores[0][0] - scores[1][0] < LEAD:
        return ""
    return scores[0][1]


def mean_voice(voiceprints: Sequence[Voiceprint]) -> Voiceprint:
    """What they have in common, of length 1."""
    total = np.stack(voiceprints).astype(np.float64).sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)


def odd_one(voiceprints: Sequence[Voiceprint]) -> int | None:
    """Place of the recording that is least like the others; None where all are of one voice. Takes two or more."""
    likeness = [
        _alike(voiceprint, mean_voice([*voiceprints[:place], *voiceprints[place + 1 :]]))
        for place, voiceprint in enumerate(voiceprints)
    ]
    least = int(np.argmin(likeness))
    return None if likeness[least] >= RECORDINGS_ALIKE else least


def taken_by(voiceprint: Voiceprint, people: Mapping[str, Voiceprint]) -> str:
    """Name of an enrolled person whom nobody could tell from this one; empty if there is none."""
    return next((name for name, own in people.items() if _alike(voiceprint, own) >= TAKEN), "")


def _alike(one: Voiceprint, other: Voiceprint) -> float:
    return float(one @ other)
