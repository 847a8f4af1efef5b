"""What is lent to Home Assistant put together: speech as services, and the room as a satellite."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from edged.config import Config, VoiceConfig
from edged.daemon.speech import Speech
from edged.errors import MissingExtra
from edged.pipeline.room import Room

try:
    from edged.server.wyoming import satellite, services
    from edged.server.wyoming.connection import Connection
    from edged.server.wyoming.offer import Offer
    from edged.server.wyoming.server import WyomingServer
except ModuleNotFoundError as exc:
    raise MissingExtra("Wyoming needs an extra: `make setup EXTRAS=wyoming` or pip install 'edged[wyoming]'") from exc

_WHISPER_LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su"
)
"""Those that openai/whisper names."""
_PIPER_NAME = re.compile(r"([a-z]{2,3})_[A-Z]{2}-")


def ports(config: Config, speech: Speech, room: Room) -> Sequence[WyomingServer]:
    """Those that are configured; nothing is bound yet. Raises MissingExtra, ArtefactError, NotFound."""
    offer = _offer(config.voice, speech)
    parts = services.ServiceParts(
        offer=offer,
        speech=speech.recognizer,
        voice=speech.voice,
        prepare_voice=lambda: asyncio.to_thread(speech.voice.load),
        wake_words=speech.wake_words,
        language=offer.voice_language,
        max_recording_seconds=config.voice.max_recording_seconds,
    )
    kinds: dict[str, tuple[Callable[[Connection], Awaitable[None]], int]] = {
        "wyoming.listen": (services.Services(parts).serve, services.MAX_CLIENTS),
        "wyoming.satellite": (satellite.Satellites(room, offer, speech.wake_words).serve, satellite.MAX_CLIENTS),
    }
    return [
        WyomingServer(key, address, kinds[key][0], most=kinds[key][1])
        for key, address in config.wyoming_addresses.items()
    ]


def _offer(config: VoiceConfig, speech: Speech) -> Offer:
    language = config.language
    is_base = language != "en"
    recognizer = Path(config.recognizer).name or ("whisper-base" if is_base else "whisper-tiny.en")
    only_english = recognizer.endswith(".en")
    voice = speech.voice_name()
    found = _PIPER_NAME.match(voice)
    return Offer(
        recognizer=recognizer,
        languages=("en",) if only_english else tuple(_WHISPER_LANGUAGES.split()) if language == "auto" else (language,),
        voice=voice,
        voice_language=found[1] if found else "zh" if language == "zh" else "en",
        phrases=speech.phrases(),
    )
