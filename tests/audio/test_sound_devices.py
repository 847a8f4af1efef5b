"""Microphones and speakers by name, and one line for each way in which there are none."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from edged.audio import devices
from edged.audio.devices import Direction, find_device, list_devices, report_sound
from edged.errors import InvalidInput, MissingExtra
from tests.audio.sound_server import SoundServer

pytestmark = pytest.mark.alone

CARDS = [("HDA Intel: ALC257 (hw:0,0)", 2, 2), ("USB Speakerphone", 1, 2), ("HDMI 3", 0, 8), ("default", 32, 32)]


def listed(cards: list[tuple[str, int, int]], defaults: tuple[int, int] = (-1, -1)) -> SimpleNamespace:
    """What stands for sounddevice where such devices are plugged in."""
    found = [
        {
            "index": index,
            "name": name,
            "max_input_channels": inputs,
            "max_output_channels": outputs,
            "default_samplerate": 48_000.0,
        }
        for index, (name, inputs, outputs) in enumerate(cards)
    ]
    return SimpleNamespace(
        _initialized=1,
        _initialize=lambda: None,
        _terminate=lambda: None,
        PortAudioError=RuntimeError,
        query_devices=lambda: found,
        default=SimpleNamespace(device=list(defaults)),
        get_portaudio_version=lambda: (1, "PortAudio V19"),
    )


@pytest.fixture
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    def plug(cards: list[tuple[str, int, int]], defaults: tuple[int, int] = (-1, -1)) -> None:
        monkeypatch.setattr(devices, "load", lambda: listed(cards, defaults))

    return plug


def test_each_direction_has_its_devices(plugged_in: Any) -> None:
    plugged_in(CARDS, (3, 2))
    assert [device.index for device in list_devices(Direction.INPUT)] == [0, 1, 3]
    assert [device.index for device in list_devices(Direction.OUTPUT)] == [0, 1, 2, 3]
    speaker = find_device("", Direction.OUTPUT)
    assert (speaker.name, speaker.channels, speaker.sample_rate, speaker.is_default) == ("HDMI 3", 8, 48_000, True)
    assert find_device("", Direction.INPUT).name == "default"


@pytest.mark.parametrize(
    ("wanted", "index"), [("speakerphone", 1), ("USB", 1), ("alc257", 0), ("1", 1), ("3", 3), ("DEFAULT", 3), ("i", 0)]
)
def test_a_part_of_the_name_or_the_number_is_enough(plugged_in: Any, wanted: str, index: int) -> None:
    plugged_in(CARDS)
    assert find_device(wanted, Direction.INPUT).index == index


def test_digits_are_a_number_and_no_part_of_a_name(plugged_in: Any) -> None:
    plugged_in([("3 ears", 1, 0), ("b", 1, 0), ("c", 1, 0), ("d", 1, 0)])
    assert find_device("3", Direction.INPUT).name == "d"
    assert find_device("3 E", Direction.INPUT).name == "3 ears"
    with pytest.raises(InvalidInput, match='no microphone is called "33"; there is 3 ears, b, c, d'):
        find_device("33", Direction.INPUT)


def test_the_whole_name_wins_over_one_that_has_it(plugged_in: Any) -> None:
    plugged_in([("default analog", 1, 1), ("default", 1, 1)])
    assert find_device("default", Direction.INPUT).name == "default"


def test_without_a_default_the_first_is_taken(plugged_in: Any) -> None:
    plugged_in(CARDS)
    assert find_device("", Direction.INPUT).index == 0


def test_a_device_that_is_absent_names_the_nearest(plugged_in: Any) -> None:
    plugged_in(CARDS)
    with pytest.raises(InvalidInput) as error:
        find_device("USB Speekerfone", Direction.INPUT)
    assert error.value.message == 'no microphone is called "USB Speekerfone" (did you mean "USB Speakerphone"?)'
    assert error.value.field == "device"
    with pytest.raises(InvalidInput, match=r'no speaker is called "zzz"; there is HDA Intel: ALC257 \(hw:0,0\), USB'):
        find_device("zzz", Direction.OUTPUT)
    with pytest.raises(InvalidInput, match='no microphone is called "2"'):
        find_device("2", Direction.INPUT)  # a speaker


def test_no_device_at_all_is_told(plugged_in: Any) -> None:
    plugged_in([("HDMI 3", 0, 8)])
    with pytest.raises(InvalidInput, match="no microphone is plugged in"):
        find_device("", Direction.INPUT)
    report = report_sound()
    assert report.obstacle == "PortAudio finds no microphone" and report.default_input is None
    assert report.default_output and report.default_output.name == "HDMI 3"


@pytest.mark.parametrize(
    ("finder", "advice"),
    [("None", "pip install 'edged[voice]'"), ("Broken()", "apt-get install libportaudio2")],
)
def test_what_is_missing_is_one_line(finder: str, advice: str) -> None:
    """In a process of its own: the library may be loaded here."""
    code = f"""
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
if {finder} is None:
    sys.modules["sounddevice"] = None
else:
    sys.meta_path.insert(0, Broken())
from edged.audio.devices import Direction, list_devices, report_sound
from edged.errors import MissingExtra
print(report_sound().obstacle)
try:
    list_devices(Direction.INPUT)
except MissingExtra as exc:
    print(exc.message)
"""
    found = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True).stdout
    first, second = found.splitlines()
    assert first == second and advice in first


def test_the_library_is_loaded_when_it_is_asked_for_only() -> None:
    code = (
        "import sys, edged.audio.devices, edged.audio.microphone, edged.audio.speaker, edged.audio.echo;"
        "sys.exit(any(name in sys.modules for name in ('sounddevice', 'livekit', 'soxr')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_real_sound_server_is_reported(sound_server: SoundServer) -> None:
    report = report_sound()
    assert not report.obstacle and "PortAudio" in report.version
    assert report.default_input and report.default_output
    assert report.default_input.name == report.default_output.name == "default"
    assert find_device("PULSE", Direction.INPUT).name == "pulse"


def test_missing_extra_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra):
        find_device("", Direction.INPUT)
