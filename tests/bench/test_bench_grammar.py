from __future__ import annotations

from pathlib import Path

from edged.config import EngineConfig
from edged.engine.engine import load_engine
from tests.bench.grammar import FORMS, measure
from tests.tiny_artefact import tiny_artefact


def test_every_token_of_every_form_is_measured(tmp_path: Path) -> None:
    engine = load_engine(tiny_artefact(tmp_path), EngineConfig(threads=1))
    for form in FORMS.values():
        figures = measure(engine, form, 8, seed=0)
        assert 1 < len(figures.grammar) <= 8
        assert 0 < sum(figures.grammar[1:]) < figures.seconds
