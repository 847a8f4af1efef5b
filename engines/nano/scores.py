"""How many answers are right, by task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .heldout import TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of one task."""

    right: int
    asked: int

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return self.right / self.asked


def tally(answers: Iterable[tuple[str, bool]]) -> Mapping[str, Score]:
    """From tasks and whether the answer was right."""
    right, asked = Counter[str](), Counter[str]()
    for task, is_right in answers:
        right[task] += is_right
        asked[task] += 1
    return {task: Score(right=right[task], asked=count) for task, count in asked.items()}


def table(columns: Sequence[tuple[str, Mapping[str, Score]]]) -> str:
    """Markdown: a row a task, a column for each of those that were asked the same questions."""
    lines = [
        f"| task | questions | {' | '.join(name for name, _ in columns)} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    first = columns[0][1]
    for task in (task for task in TASKS if task in first):
        cells = " | ".join(f"{scores[task].accuracy:.1%}" for _, scores in columns)
        lines.append(f"| {task} | {first[task].asked} | {cells} |")
    return "\n".join(lines)
