"""The speaker service through the client: what is kept of recordings, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edged.client import Client
from edged.errors import Code, InvalidInput, MissingExtra, RemoteError
from edged.events import Audio
from edged.records import EnrolledSpeaker
from tests.pipeline.people import ENROLLED_AT, recording, voiceprint
from tests.server.conftest import MAX_MESSAGE_BYTES, Daemon

LOUDNESS = 3000
ANNA = [recording(LOUDNESS), recording(LOUDNESS, 1.2), recording(LOUDNESS, 3.0)]


async def refused(client: Client, name: str, recordings: list[Audio]) -> RemoteError:
    with pytest.raises(RemoteError) as raised:
        await client.enrol_speaker(name, recordings)
    return raised.value


async def test_a_voice_is_enrolled_listed_and_deleted(daemon: Daemon, client: Client) -> None:
    anna = EnrolledSpeaker(name="Anna", created_at=ENROLLED_AT)
    assert await client.list_speakers() == ()
    assert await client.enrol_speaker("Anna", ANNA) == anna
    assert await client.list_speakers() == (anna,)
    np.testing.assert_allclose(daemon.people.known["Anna"], voiceprint(LOUDNESS), atol=1e-6)
    await client.delete_speaker("Anna")
    assert await client.list_speakers() == ()
    assert daemon.people.known == {}


async def test_whoever_is_not_known_cannot_be_deleted(client: Client) -> None:
    with pytest.raises(RemoteError) as raised:
        await client.delete_speaker("Anna")
    assert (raised.value.code, raised.value.resource) == (Code.NOT_FOUND, ("speaker", "Anna"))


@pytest.mark.parametrize("count", [0, 1, 2, 11])
async def test_too_few_or_too_many_recordings(daemon: Daemon, client: Client, count: int) -> None:
    error = await refused(client, "Anna", [recording(LOUDNESS, 1.0)] * count)
    assert (error.code, error.field) == (Code.INVALID_ARGUMENT, "recordings")
    assert f"3 to 10 recordings are needed, not {count}" in error.message
    assert daemon.encoder.heard == []  # refused before any work


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Audio(data=b"", media_type="audio/wav"), "not a WAV"),
        (Audio(data=b"hello" * 100, media_type="audio/wav"), "not a WAV"),
        (Audio(data=ANNA[0].data[:5000], media_type="audio/wav"), "recording 2: "),
        (recording(LOUDNESS, 0.9), "too little speech"),
        (recording(0, 2.0), "too little speech"),
    ],
    ids=["empty", "no recording", "broken off", "short", "silent"],
)
async def test_a_recording_that_will_not_do_is_named(daemon: Daemon, client: Client, bad: Audio, reason: str) -> None:
    error = await refused(client, "Anna", [ANNA[0], bad, ANNA[2]])
    assert (error.code, error.field) == (Code.INVALID_ARGUMENT, "recordings[1]")
    assert error.message.startswith("recording 2: ") and reason in error.message
    assert daemon.people.known == {}


async def test_a_recording_that_is_too_long(client: Client) -> None:
    long = Audio(data=recording(LOUDNESS, 31).data[: MAX_MESSAGE_BYTES - 1000], media_type="audio/wav")
    error = await refused(client, "Anna", [long, recording(1, 0.1), recording(1, 0.1)])
    assert (error.code, error.field) in {(Code.INVALID_ARGUMENT, "recordings[0]"), (Code.RESOURCE_EXHAUSTED, "")}


async def test_a_recording_of_somebody_else_is_named(daemon: Daemon, client: Client) -> None:
    error = await refused(client, "Anna", [*ANNA, recording(LOUDNESS + 1000)])
    assert (error.code, error.field) == (Code.INVALID_ARGUMENT, "recordings[3]")
    assert error.message.startswith("recording 4 does not sound like the others")
    assert daemon.people.known == {}


async def test_a_name_is_taken_before_anything_is_computed(daemon: Daemon, client: Client) -> None:
    await client.enrol_speaker("Anna", ANNA)
    daemon.encoder.heard.clear()
    error = await refused(client, "Anna", ANNA)
    assert (error.code, error.resource) == (Code.ALREADY_EXISTS, ("speaker", "Anna"))
    assert daemon.encoder.heard == []


async def test_a_voice_has_one_name(daemon: Daemon, client: Client) -> None:
    await client.enrol_speaker("Anna", ANNA)
    error = await refused(client, "Annette", ANNA)
    assert (error.code, error.resource) == (Code.ALREADY_EXISTS, ("speaker", "Anna"))
    assert "cannot be told from that of Anna" in error.message
    assert list(daemon.people.known) == ["Anna"]


async def test_without_weights_it_says_what_to_install(daemon: Daemon, client: Client) -> None:
    daemon.encoder.failure = MissingExtra("speech needs a package that is not installed: pip install it")
    error = await refused(client, "Anna", ANNA)
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "MISSING_EXTRA")
    assert error.message == daemon.encoder.failure.message
    assert await client.list_speakers() == ()


async def test_a_name_that_no_request_can_hold(client: Client) -> None:
    with pytest.raises(InvalidInput):
        await client.enrol_speaker("\udcff", ANNA)
    with pytest.raises(InvalidInput):
        await client.delete_speaker("\udcff")


async def test_voices_are_known_while_the_engine_loads(loading: Daemon) -> None:
    async with Client(loading.address) as client:
        assert await client.list_speakers() == ()
