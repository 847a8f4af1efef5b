"""What a course on a GPU learns from besides what its teacher writes, and which student it keeps."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_qat_course import BLOCK, tokens
from tiny_checkpoints import save_folder, tiny_model
from tokenizers import Tokenizer
from torch import Tensor

from engines.checkpoint import Checkpoint, open_checkpoint
from engines.qat import novels as module_of_novels
from engines.qat.decoder import Decoder
from engines.qat.distillation import Distillation
from engines.qat.prose import prose
from engines.qat.sampling import LENGTH
from engines.qat.start import calibration_of, student
from engines.qat.texts import written


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    model = tiny_model("llama", hidden_size=64, max_position_embeddings=LENGTH)
    return open_checkpoint(save_folder(model, tmp_path_factory.mktemp("float") / "model"))


def _string(text: str | None) -> bytes:
    raw = b"" if text is None else text.encode()
    return (0x40009).to_bytes(4, "big") + (-1 if text is None else len(raw)).to_bytes(4, "big", signed=True) + raw


def test_novels_come_from_a_package_of_r(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint
) -> None:
    lines = ["EMMA", "", "Emma Woodhouse, handsome,", "clever, and rich", None, "", "had lived"]
    header = b"X\n" + b"".join(number.to_bytes(4, "big") for number in (3, 0x040201, 0x030500, 5)) + b"UTF-8"
    vector = header + (16).to_bytes(4, "big") + len(lines).to_bytes(4, "big") + b"".join(map(_string, lines))
    other = header + (13).to_bytes(4, "big") + (0).to_bytes(4, "big")
    database = b"".join(len(value).to_bytes(4, "big") + zlib.compress(value) for value in (other, vector))
    (tmp_path / "Rdata.rdb").write_bytes(database)

    monkeypatch.setattr(module_of_novels, "PLACE", tmp_path / "Rdata.rdb")
    found = list(module_of_novels.novels())
    assert [text for text in found if text.strip()] == [
        "EMMA\n\nEmma Woodhouse, handsome, clever, and rich\n\nhad lived\n\n"
    ]


def test_novels_and_documentation_come_in_turn(checkpoint: Checkpoint, tmp_path: Path) -> None:
    np.save(tmp_path / "novels.npy", np.zeros((2, LENGTH), np.uint32))
    np.save(tmp_path / "prose.npy", np.ones((4, LENGTH), np.uint32))

    assert written(checkpoint, tmp_path, pytest.fail)[:, 0].tolist() == [0, 1, 0, 1, 1, 1]


def test_where_there_are_no_novels_that_is_said_and_not_kept(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_of_novels, "PLACE", tmp_path / "Rdata.rdb")
    np.save(tmp_path / "novels.npy", np.zeros((0, LENGTH), np.uint32))  # as it once was kept
    np.save(tmp_path / "prose.npy", np.ones((4, LENGTH), np.uint32))
    said: list[str] = []

    assert len(written(checkpoint, tmp_path, said.append)) == 4
    assert said == ["no novels: apt-get install r-cran-janeaustenr"]

    def novel() -> Iterator[str]:
        yield "It is a truth universally acknowledged, that a single man must be in want of a wife. " * 2

    tokenizer = Tokenizer.from_str(checkpoint.vocabulary.tokenizer)
    assert prose(tokenizer, 8, tmp_path / "none.npy", lambda: iter(())).shape == (0, 8)
    assert not (tmp_path / "none.npy").exists()
    assert len(prose(tokenizer, 8, tmp_path / "novels.npy", novel)) == len(np.load(tmp_path / "novels.npy")) > 0


def test_the_best_is_compared_on_the_same_texts_only(checkpoint: Checkpoint, tmp_path: Path) -> None:
    teacher = Decoder(checkpoint, 32).requires_grad_(False)
    near = student(checkpoint, 32, BLOCK, calibration_of("round"), lambda count: None).requires_grad_(False)
    far = student(checkpoint, 32, BLOCK, calibration_of("round"), lambda count: None).requires_grad_(False)
    far.norm.weight.mul_(2)
    kept: list[object] = []

    def judge(held_out: Tensor, module: Decoder) -> int:
        Distillation(teacher, held_out, [held_out[0]], kept.append, tmp_path).evaluate(module)
        return len(kept)

    assert [judge(tokens(2, 32), near), judge(tokens(2, 32), far)] == [1, 1]
    assert [judge(tokens(3, 32), far), judge(tokens(3, 32), far), judge(tokens(3, 32), near)] == [2, 2, 3]
