"""The network against torch's, with weights drawn at random; and who is who, where Resemblyzer's are installed."""

from __future__ import annotations

import os
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, to_samples
from edged.errors import ArtefactError, InvalidInput
from edged.speech.speakers import MAX_SECONDS, SpeakerEncoder, _spans
from edged.speech.torch_file import read_tensors
from edged.speech.weights import SPEAKERS, speakers_file
from tests.speech.voices import QUESTIONS, librivox, noise, spoken


class Network(nn.Module):
    """As Resemblyzer has it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(mels)
        raw = torch.relu(self.linear(hidden[-1]))
        return raw / torch.norm(raw, dim=1, keepdim=True)


def _save(content: object, path: Path) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network()


@pytest.fixture(scope="module")
def encoder(network: Network, tmp_path_factory: pytest.TempPathFactory) -> SpeakerEncoder:
    path = tmp_path_factory.mktemp("speakers") / "random.pt"
    return SpeakerEncoder(_save({"step": 1, "model_state": network.state_dict()}, path))


@pytest.mark.parametrize("seconds", [0.5, 1.6, 1.61, 2.0, 3.3, 10.0])
def test_a_voiceprint_is_what_torch_computes(network: Network, encoder: SpeakerEncoder, seconds: float) -> None:
    samples = to_samples(noise(seconds, 0.1))
    with torch.no_grad():
        partial = network(torch.from_numpy(_spans(samples))).numpy()
    expected = partial.mean(axis=0) / np.linalg.norm(partial.mean(axis=0))
    found = encoder.embed(samples)
    assert found.shape == (256,)
    assert found.dtype == np.float32
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("seconds", "spans"), [(0.5, 1), (1.6, 1), (1.9, 1), (2.0, 2), (3.0, 3), (10.0, 12)])
def test_speech_is_heard_in_overlapping_spans(seconds: float, spans: int) -> None:
    """As many as Resemblyzer makes of it."""
    assert _spans(to_samples(noise(seconds, 0.1))).shape == (spans, 160, 40)


def test_low_speech_is_raised_and_loud_speech_is_not(encoder: SpeakerEncoder) -> None:
    samples = to_samples(noise(2.0, 0.02))
    np.testing.assert_allclose(encoder.embed(samples), encoder.embed(samples * np.float32(0.1)), atol=1e-4)


def test_only_the_beginning_of_a_long_recording(encoder: SpeakerEncoder) -> None:
    samples = to_samples(noise(MAX_SECONDS, 0.1))
    long = np.concatenate((samples, to_samples(noise(60.0, 0.3))))
    np.testing.assert_array_equal(encoder.embed(samples), encoder.embed(long))


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.ones(1, np.float32),
        np.ones(7_999, np.float32),
        np.zeros(SAMPLE_RATE, np.float32),
        np.full(SAMPLE_RATE, np.nan, np.float32),
        np.full(SAMPLE_RATE, np.inf, np.float32),
    ],
)
def test_what_tells_nothing(encoder: SpeakerEncoder, samples: Samples) -> None:
    with pytest.raises(InvalidInput):
        encoder.embed(samples)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("false",)


class TestFile:
    def test_tensors_come_back(self, network: Network, tmp_path: Path) -> None:
        found = read_tensors(_save({"model_state": network.state_dict()}, tmp_path / "a.pt"), "model_state")
        assert found.keys() == network.state_dict().keys()
        for name, tensor in network.state_dict().items():
            np.testing.assert_array_equal(found[name], tensor.numpy())

    @pytest.mark.parametrize(
        "content",
        [
            {"model_state": Evil()},
            Evil(),
            {},
            [],
            {"model_state": {"a": torch.zeros(2, dtype=torch.float64)}},
            {"model_state": {"a": torch.zeros(2, 3).T}},
            {"model_state": {"a": 1}},
            {"model_state": {}},
        ],
        ids=["evil", "all evil", "empty", "list", "doubles", "transposed", "number", "no tensors"],
    )
    def test_what_holds_no_weights(self, tmp_path: Path, content: object) -> None:
        with pytest.raises(ArtefactError, match=r"a\.pt"):
            SpeakerEncoder(_save(content, tmp_path / "a.pt"))

    @pytest.mark.parametrize("data", [b"", b"abc", pickle.dumps(Evil()), pickle.dumps([[]] * 10), b"\x80\x02" * 1000])
    def test_something_else(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "a.pt").write_bytes(data)
        with pytest.raises(ArtefactError, match=r"a\.pt"):
            SpeakerEncoder(tmp_path / "a.pt")

    @pytest.mark.parametrize("length", [10, 1000, 100_000, -1])
    def test_cut_off(self, network: Network, tmp_path: Path, length: int) -> None:
        whole = _save({"model_state": network.state_dict()}, tmp_path / "whole.pt").read_bytes()
        (tmp_path / "a.pt").write_bytes(whole[:length])
        with pytest.raises(ArtefactError, match=r"a\.pt"):
            SpeakerEncoder(tmp_path / "a.pt")

    def test_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ArtefactError, match="cannot be read"):
            SpeakerEncoder(tmp_path / "a.pt")


if find_spec(SPEAKERS.package):  # pip install --no-deps Resemblyzer==0.1.4

    def test_who_is_who() -> None:
        encoder = SpeakerEncoder(speakers_file())
        woman = [encoder.embed(samples) for _, samples in librivox()]
        man = [encoder.embed(to_samples(spoken(text))) for text in QUESTIONS[:5]]
        alike = [float(one @ other) for group in (woman, man) for one in group for other in group]
        different = [float(one @ other) for one in woman for other in man]
        assert min(alike) > max(different) + 0.1
