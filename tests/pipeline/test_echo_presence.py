"""Whether the microphone hears the speaker: known after a moment of playback, and then for all of it."""

from __future__ import annotations

from edged.pipeline.echo_presence import EchoPresence

PIECE = 0.032


def heard(presence: EchoPresence, voices: str, speaker: str) -> list[bool]:
    """is_absent after each piece: # a voice in the microphone, and something loud from the speaker."""
    found = []
    for voice, loud in zip(voices, speaker, strict=True):
        presence.push(speech_probability=0.9 if voice == "#" else 0.05, is_loud=loud == "#", seconds=PIECE)
        found.append(presence.is_absent)
    return found


def test_a_speaker_that_is_not_heard_is_known_after_a_moment() -> None:
    found = heard(EchoPresence(), "." * 40, "#" * 40)
    assert not any(found[:20])
    assert all(found[24:])


def test_a_speaker_that_is_heard_stays_so() -> None:
    assert not any(heard(EchoPresence(), "......######" + "." * 88, "#" * 100))


def test_silence_from_the_speaker_tells_nothing() -> None:
    assert not any(heard(EchoPresence(), "." * 100, "." * 100))


def test_an_echo_may_take_its_time() -> None:
    """The last thing heard of a speaker that has just fallen silent."""
    assert not any(heard(EchoPresence(), "." * 19 + "#" * 20, "#" * 13 + "." * 26))


def test_who_speaks_later_is_no_echo() -> None:
    presence = EchoPresence()
    heard(presence, "." * 40, "#" * 40)
    assert all(heard(presence, "#" * 20, "#" * 20))


def test_the_next_playback_is_judged_anew() -> None:
    presence = EchoPresence()
    heard(presence, "." * 40, "#" * 40)
    presence.reset()
    assert not presence.is_absent
