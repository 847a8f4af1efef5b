"""Silence is cut out before a voice is judged; and, where Resemblyzer's weights are, a woman, a man and a machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soxr

from edged.audio.mel import Samples
from edged.audio.pcm import SAMPLE_RATE, Pcm, to_pcm, to_samples, to_wav
from edged.errors import AlreadyExists, InvalidInput, MissingExtra
from edged.events import Audio
from edged.pipeline.enrolment import Enrolment
from edged.pipeline.ports import SpeakerEncoder as Port
from edged.pipeline.who_speaks import WhoSpeaks
from edged.speech import weights
from edged.speech.background import BackgroundSpeakerEncoder
from edged.speech.espeak import EspeakVoice
from edged.speech.silero import SileroVad
from edged.speech.speakers import SpeakerEncoder, Voiceprint
from edged.speech.voiceprints import Voiceprints
from edged.speech.weights import SPEAKERS, Packaged, silero_file, speakers_file
from edged.store import AsyncStore, KeySource
from tests.speech.voices import QUESTIONS, in_a_quiet_room, librivox, noise, spoken

EMBEDDING_SECONDS = 30


class Listener(SpeakerEncoder):
    """Says what it was given to judge."""

    def __init__(self) -> None:
        self.heard: list[Samples] = []

    def embed(self, samples: Samples) -> Voiceprint:
        self.heard.append(samples)
        return np.ones(1, np.float32)


@pytest.fixture(scope="module")
def activity() -> SileroVad:
    return SileroVad(silero_file())


def test_only_speech_is_judged(activity: SileroVad) -> None:
    listener = Listener()
    sentence = spoken(QUESTIONS[2])
    room = np.concatenate((in_a_quiet_room(sentence, 3.0), in_a_quiet_room(sentence, 3.0)))
    Voiceprints(listener, activity).embed(to_samples(room), least_seconds=1.0)
    assert len(listener.heard[0]) / SAMPLE_RATE == pytest.approx(2 * len(sentence) / SAMPLE_RATE, rel=0.2)


def test_one_recording_leaves_nothing_for_the_next(activity: SileroVad) -> None:
    listener = Listener()
    voiceprints = Voiceprints(listener, activity)
    for text in (QUESTIONS[2], QUESTIONS[7], QUESTIONS[2]):
        voiceprints.embed(to_samples(in_a_quiet_room(spoken(text))), least_seconds=0.5)
    np.testing.assert_array_equal(listener.heard[0], listener.heard[2])


@pytest.mark.parametrize("pcm", [noise(5.0), np.zeros(0, np.int16), np.zeros(100, np.int16), noise(5.0, 0.1)])
def test_where_nobody_speaks(activity: SileroVad, pcm: Pcm) -> None:
    listener = Listener()
    with pytest.raises(InvalidInput, match=r"0\.\d seconds of speech in it, at least 0\.5 are needed"):
        Voiceprints(listener, activity).embed(to_samples(pcm), least_seconds=0.5)
    assert listener.heard == []


def test_too_little_speech(activity: SileroVad) -> None:
    with pytest.raises(InvalidInput, match="at least 5 are needed"):
        Voiceprints(Listener(), activity).embed(to_samples(spoken(QUESTIONS[2])), least_seconds=5.0)


async def test_without_weights_it_says_exactly_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        weights,
        "SPEAKERS",
        Packaged(package="resemblyzer_not_there", folder="", files=SPEAKERS.files, remedy=SPEAKERS.remedy),
    )
    encoder = BackgroundSpeakerEncoder(lambda: Voiceprints(SpeakerEncoder(speakers_file()), SileroVad(silero_file())))
    with pytest.raises(MissingExtra, match=r"pip install --no-deps Resemblyzer==0\.1\.4"):
        encoder.load()
    with pytest.raises(MissingExtra):
        await encoder.embed(np.zeros(SAMPLE_RATE, np.float32), least_seconds=1.0)
    encoder.close()


def _espeak(text: str) -> Pcm:
    """A machine's voice."""
    machine = EspeakVoice("en-gb")
    samples = to_samples(np.concatenate(list(machine.synthesize(text))))
    return to_pcm(np.asarray(soxr.resample(samples, machine.sample_rate, SAMPLE_RATE), np.float32))


if find_spec(SPEAKERS.package):  # pip install --no-deps Resemblyzer==0.1.4

    @pytest.fixture(scope="module")
    def voices() -> dict[str, list[Pcm]]:
        """Sentences of a woman, a man and a machine, each in a quiet room."""
        said = {
            "woman": [to_pcm(samples) for _, samples in librivox()],
            "man": [spoken(text) for text in QUESTIONS[2:10]],
            "machine": [_espeak(text) for text in QUESTIONS[2:10]],
        }
        return {name: [in_a_quiet_room(pcm, 0.6) for pcm in sentences] for name, sentences in said.items()}

    def wavs(sentences: list[Pcm]) -> list[Audio]:
        return [Audio(data=to_wav(pcm), media_type="audio/wav") for pcm in sentences]

    async def named(encoder: Port, people: AsyncStore, pcm: Pcm) -> str:
        who = WhoSpeaks(encoder, people)
        who.begin(pcm)
        return await who.name(wait_seconds=EMBEDDING_SECONDS)

    async def test_who_was_enrolled_is_recognised_and_nobody_else(voices: dict[str, list[Pcm]], tmp_path: Path) -> None:
        encoder = BackgroundSpeakerEncoder(
            lambda: Voiceprints(SpeakerEncoder(speakers_file()), SileroVad(silero_file()))
        )
        store = await AsyncStore.open(tmp_path / "state", KeySource(kind="file", directory=tmp_path / "config"))
        enrolment = Enrolment(encoder, store)
        try:
            await enrolment.enrol("Jane", wavs(voices["woman"][:3]))
            for pcm in voices["woman"][3:]:
                assert await named(encoder, store, pcm) == "Jane"
            for pcm in (*voices["man"], *voices["machine"]):
                assert await named(encoder, store, pcm) == ""
            await enrolment.enrol("Joe", wavs(voices["man"][:3]))
            for pcm in voices["man"][3:]:
                assert await named(encoder, store, pcm) == "Joe"
            for pcm in voices["woman"][3:]:
                assert await named(encoder, store, pcm) == "Jane"
            with pytest.raises(InvalidInput, match="recording 3 does not sound like the others"):
                await enrolment.enrol("Mix", wavs([*voices["machine"][:2], voices["woman"][3]]))
            with pytest.raises(AlreadyExists, match="cannot be told from that of Jane"):
                await enrolment.enrol("Jane's twin", wavs(voices["woman"][2:]))
            await enrolment.delete("Jane")
            assert await named(encoder, store, voices["woman"][3]) == ""
        finally:
            encoder.close()
            await store.close()
