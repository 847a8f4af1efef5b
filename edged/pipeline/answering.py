"""What is done about an utterance: by a skill, or in a turn of the stored conversation; and said aloud."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass

from edged.audio.pcm import Pcm, to_wav
from edged.errors import EdgedError, NotFound
from edged.events import Audio, Measured, Part, Started, Text, TextDelta
from edged.pipeline.intents import ChangeVolume
from edged.pipeline.narration import Narration
from edged.pipeline.ports import EmotionReader
from edged.pipeline.skills import Done
from edged.pipeline.utterance import Utterance
from edged.pipeline.voice_parts import ConversationThread, VoiceParts, VoiceSettings
from edged.voice_events import EmotionHeard, FinalTranscript, Speaking, TurnTimings, VoiceEvent, VolumeChanged

NAME_SECONDS = 0.05
"""How long an answer may wait, with its transcript there, for who asked."""


@dataclass(slots=True)
class Moments:
    """Of one answer, by the loop's clock."""

    spoken: float
    """The last sample of speech."""
    endpoint: float
    """When it was clear that this was all."""
    transcript: float = 0.0
    first_token: float = 0.0


class Answering:
    """Of one conversation by voice; one answer at a time. Cancelling it ends the answer, `cut` says what was heard."""

    def __init__(
        self,
        parts: VoiceParts,
        settings: VoiceSettings,
        thread: ConversationThread,
        emit: Callable[[VoiceEvent], None],
        *,
        sounding: Callable[[], None],
        spawn: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        """sounding: called when an answer is first heard. spawn: runs what nobody waits for."""
        self._parts = parts
        self._settings = settings
        self._thread = thread
        self._emit = emit
        self._sounding = sounding
        self._spawn = spawn
        self._narration: Narration | None = None

    async def announce(self, text: str) -> bool:
        """Say what no one asked for. Returns, as `respond` does, whether a follow-up may be expected."""
        try:
            self._emit(TextDelta(text=text))
            await self._say(text, None)
        finally:
            self._parts.skills.announced()
        return False

    async def respond(self, utterance: Utterance, moments: Moments, understood: Callable[[], None]) -> bool:
        """Returns whether a follow-up may be expected. understood: called once nothing can be added to the question."""
        self._narration = None  # the last one can no longer be cut
        hears = await self._parts.turns.hears(self._settings.model)
        text = utterance.text_if_whole if hears else await utterance.transcript()
        speaker = await self._name()
        utterance.drop()
        understood()
        moments.transcript = asyncio.get_running_loop().time()
        self._emit(FinalTranscript(text=text, speaker=speaker))
        done = self._parts.skills.respond(text)
        if done is not None:
            moments.first_token = moments.transcript
            await self._do(done, moments)
            return not done.is_over
        if not hears and not text:
            return False
        question = Audio(data=to_wav(utterance.pcm), media_type="audio/wav") if hears else Text(text=text)
        await self._ask_again_if_forgotten(question, moments)
        if self._parts.emotions:
            self._spawn(self._read_emotion(self._parts.emotions, utterance.pcm))
        return True

    def cut(self) -> str:
        """The answer was interrupted: what of it was said aloud, which is all that is kept of it."""
        narration, self._narration = self._narration, None
        return narration.cut() if narration else ""

    async def _name(self) -> str:
        who_speaks = self._parts.who_speaks
        return await who_speaks.name(wait_seconds=NAME_SECONDS) if who_speaks else ""

    async def _read_emotion(self, emotions: EmotionReader, pcm: Pcm) -> None:
        """Once the answer was given, which it must not delay. Not to know costs nobody anything."""
        with suppress(EdgedError):
            emotion = await emotions.read(Audio(data=to_wav(pcm), media_type="audio/wav"))
            self._emit(EmotionHeard(emotion=emotion))

    async def _do(self, done: Done, moments: Moments) -> None:
        """What needs no model."""
        if done.volume is not None:
            self._change_volume(done.volume)
        if done.reply:
            self._emit(TextDelta(text=done.reply))
            await self._say(done.reply, moments)
        if done.mutes:
            self._parts.mute()

    def _change_volume(self, change: ChangeVolume) -> None:
        loudspeaker = self._parts.loudspeaker
        wanted = change.to if change.to is not None else loudspeaker.volume_percent + (change.by or 0)
        loudspeaker.volume_percent = min(max(wanted, 0), 100)
        self._emit(VolumeChanged(percent=loudspeaker.volume_percent))

    async def _ask_again_if_forgotten(self, question: Part, moments: Moments) -> None:
        """In a new conversation, where the one that went on was deleted or is long past."""
        now = asyncio.get_running_loop().time()
        if self._thread.answered_at and now - self._thread.answered_at > self._settings.forget_seconds:
            self._thread.conversation_id = ""
        self._thread.answered_at = now
        try:
            await self._ask(question, moments)
        except NotFound as exc:
            if not self._thread.conversation_id or (exc.resource or ("",))[0] != "conversation":
                raise
            self._thread.conversation_id = ""
            await self._ask(question, moments)
        self._thread.answered_at = asyncio.get_running_loop().time()

    async def _ask(self, question: Part, moments: Moments) -> None:
        """A turn of the stored conversation; it stays open until its answer was heard: what was not, is not kept."""
        narration = self._new_narration(moments)
        speaking = asyncio.create_task(narration.run())
        try:
            await self._tell(question, narration, speaking, moments)
        except EdgedError:
            narration.finish()  # what came before it failed is said to its end
            await asyncio.wait({speaking})
            raise
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
        speaking.result()  # a voice that failed costs nobody the answer, which is stored by now

    async def _tell(self, question: Part, narration: Narration, speaking: asyncio.Task[None], moments: Moments) -> None:
        turn = self._parts.turns.run(
            parts=(question,),
            reader=self._settings.reader,
            conversation_id=self._thread.conversation_id,
            model=self._settings.model,
            sampling=self._settings.sampling,
            heard=narration.heard_of_cut,
        )
        async with aclosing(turn):
            async for event in turn:
                self._emit(event)
                match event:
                    case Started(conversation_id=conversation_id):
                        self._thread.conversation_id = conversation_id
                    case TextDelta(text=text):
                        moments.first_token = moments.first_token or asyncio.get_running_loop().time()
                        narration.push(text)
                    case Measured():
                        narration.finish()
                        await asyncio.wait({speaking})

    async def _say(self, text: str, moments: Moments | None) -> None:
        narration = self._new_narration(moments)
        narration.push(text)
        narration.finish()
        await narration.run()

    def _new_narration(self, moments: Moments | None) -> Narration:
        self._narration = Narration(
            self._parts.voice,
            self._parts.loudspeaker,
            language=self._settings.language,
            saying=lambda text: self._emit(Speaking(text=text)),
            first_sound=lambda: self._begin(moments),
        )
        return self._narration

    def _begin(self, moments: Moments | None) -> None:
        """The first sound is queued. None: nobody waited for it."""
        self._sounding()
        if moments is None:
            return
        milliseconds = [
            1000 * (moment - moments.spoken)
            for moment in (moments.endpoint, moments.transcript, moments.first_token, asyncio.get_running_loop().time())
        ]
        names = ("endpoint_ms", "transcript_ms", "first_token_ms", "first_audio_ms")
        self._emit(TurnTimings(**dict(zip(names, milliseconds, strict=True))))
