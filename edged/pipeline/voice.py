"""A conversation by voice: waiting, listening, thinking, speaking, and being interrupted.

The conductor of the stages. It is fed sound, ten milliseconds at a time or more, and emits events; where the sound
comes from and where the answer is heard, it does not know: a room's microphone and speaker, or a phone's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_wav
from edged.audio.ring_buffer import RingBuffer
from edged.errors import EdgedError, NotFound
from edged.events import Audio, Measured, Part, Started, Text, TextDelta
from edged.pipeline.barge_in import BargeIn, Reaction
from edged.pipeline.intents import ChangeVolume
from edged.pipeline.narration import Narration
from edged.pipeline.ports import VAD_SECONDS, EmotionReader
from edged.pipeline.skills import Done
from edged.pipeline.utterance import Utterance
from edged.pipeline.vad import Heard, Segmenter, patience
from edged.pipeline.voice_parts import ConversationThread, VoiceParts, VoiceSettings
from edged.voice_events import (
    EmotionHeard,
    FinalTranscript,
    Interrupted,
    PartialTranscript,
    Speaking,
    SpeechBegan,
    SpeechEnded,
    StateChanged,
    TurnFailed,
    TurnTimings,
    VoiceEvent,
    VoiceState,
    VolumeChanged,
    WakeDetected,
)

DUCKED = 0.3
"""Volume while it is not clear yet whether somebody speaks."""
BEFORE_SPEECH_SECONDS = 0.5
"""Sound kept from before the moment when somebody was heard to speak."""
AFTER_WAKE_SECONDS = 0.1
"""Of the sound before a wake word was recognised, what may already be the question."""
RING_SECONDS = 0.2
"""Between two looks at the timers."""
NAME_SECONDS = 0.05
"""How long an answer may wait, with its transcript there, for who asked."""


@dataclass(slots=True)
class _Marks:
    """Moments of one answer, by the loop's clock."""

    spoken: float
    endpoint: float
    transcript: float = 0.0
    first_token: float = 0.0


class VoiceSession:
    """One conversation; use `run` within the task that owns it, and the other methods from the same event loop."""

    def __init__(
        self,
        parts: VoiceParts,
        settings: VoiceSettings,
        emit: Callable[[VoiceEvent], None],
        *,
        thread: ConversationThread | None = None,
    ) -> None:
        """thread: the stored conversation that goes on; a new one without."""
        self.state = VoiceState.WAITING
        self._thread = thread or ConversationThread()
        self._parts = parts
        self._settings = settings
        self._emit = emit
        self._recent = RingBuffer(BEFORE_SPEECH_SECONDS)
        self._segmenter = Segmenter(settings.endpointing)
        self._barge_in: BargeIn | None = None
        self._utterance: Utterance | None = None
        """What is being said, until it is written down."""
        self._tasks: asyncio.TaskGroup
        self._answering: asyncio.Task[None] | None = None
        self._narration: Narration | None = None

    async def run(self, sound: AsyncIterator[Pcm]) -> None:
        """Take sound until it ends, and finish what was begun; cancelling it ends the conversation at once."""
        async with asyncio.TaskGroup() as self._tasks:
            ringing = self._tasks.create_task(self._ring())
            try:
                if self._utterance is None:
                    self._rest()
                async for pcm in sound:
                    self.hear(pcm)
                    await asyncio.sleep(0)  # sound that comes faster than it was spoken leaves others their turn
                if self.state is VoiceState.LISTENING and self._segmenter.has_begun:
                    self._end_utterance()
                if self._answering:
                    await asyncio.wait({self._answering})
            finally:
                ringing.cancel()
                if self._answering:
                    if self._narration:
                        self._narration.cut()
                    self._parts.loudspeaker.cut()
                    self._answering.cancel()
                self._forget_utterance()

    def hear(self, pcm: Pcm) -> None:
        """Take the next piece of sound."""
        self._recent.push(pcm)
        if self.state is VoiceState.WAITING:
            self._watch_for_wake_word(pcm)
        elif self.state is VoiceState.LISTENING:
            self._listen(pcm)
        else:
            self._watch_for_interruption(pcm)

    def press(self) -> None:
        """The button is down, or somebody wants to be heard without the wake phrase; what is being said is cut."""
        self._interrupt()
        self._start_listening(self._settings.endpointing.wait_seconds, beginning_seconds=0.0)

    def release(self) -> None:
        """The button is up: what was said is the question."""
        if self.state is VoiceState.LISTENING:
            if self._utterance and self._utterance.seconds >= self._settings.endpointing.min_speech_seconds:
                self._end_utterance()
            else:
                self._rest()

    def stop(self) -> None:
        """Be quiet."""
        self._interrupt()
        self._rest()

    # --- waiting ---

    def _rest(self) -> None:
        """Wait for the button or the wake phrase; where there is neither, listen."""
        if self._parts.wake_words is None and not self._settings.has_button:
            self._start_listening(self._settings.endpointing.wait_seconds, beginning_seconds=BEFORE_SPEECH_SECONDS)
            return
        self._forget_utterance()
        if self._parts.wake_words and self._parts.wake_detector:
            self._parts.wake_words.reset()
            self._parts.wake_detector.reset()
        self._enter(VoiceState.WAITING)

    def _watch_for_wake_word(self, pcm: Pcm) -> None:
        parts = self._parts
        if parts.wake_words is None or parts.wake_detector is None:
            return
        heard = parts.wake_words.push(pcm)
        phrase = parts.wake_detector.push(heard, seconds=len(pcm) / SAMPLE_RATE)
        if phrase is not None:
            self._emit(WakeDetected(phrase=phrase))
            self._start_listening(self._settings.endpointing.wait_seconds, beginning_seconds=AFTER_WAKE_SECONDS)

    async def _ring(self) -> None:
        """Announce timers that ran out, when nobody is speaking or being answered."""
        while True:
            await asyncio.sleep(RING_SECONDS)
            is_pressed = self._settings.has_button and self.state is VoiceState.LISTENING
            is_busy = self._answering is not None or is_pressed or self._is_spoken_to
            if not is_busy and (text := self._parts.skills.due()):
                self._forget_utterance()
                self._barge_in = None
                self._enter(VoiceState.THINKING)
                self._answering = self._tasks.create_task(self._to_the_end(self._announce(text)))

    @property
    def _is_spoken_to(self) -> bool:
        return self.state is VoiceState.LISTENING and self._segmenter.has_begun

    async def _announce(self, text: str) -> bool:
        try:
            self._emit(TextDelta(text=text))
            await self._say(text, None)
        finally:
            self._parts.skills.announced()
        return False

    # --- listening ---

    def _start_listening(self, wait_seconds: float, *, beginning_seconds: float) -> None:
        self._forget_utterance()
        self._parts.activity.reset()
        self._segmenter.reset(wait_seconds=wait_seconds)
        beginning = self._recent.last(int(beginning_seconds * SAMPLE_RATE))
        self._utterance = Utterance(self._parts.speech, looked=self._looked, beginning=beginning)
        self._enter(VoiceState.LISTENING)

    def _listen(self, pcm: Pcm) -> None:
        utterance = self._utterance
        if utterance is None:
            return
        utterance.push(pcm)
        for probability in self._parts.activity.push(pcm):
            heard = self._segmenter.push(speech_probability=probability, seconds=VAD_SECONDS)
            if heard is not None:
                self._take(heard, utterance)
            if self.state is not VoiceState.LISTENING or self._utterance is not utterance:
                return
        if self._settings.has_button and utterance.seconds >= self._settings.endpointing.max_seconds:
            self._end_utterance()
            return
        if self._segmenter.has_begun and self._segmenter.silent_seconds == 0:
            utterance.peek(every_seconds=self._settings.partial_seconds)

    def _take(self, heard: Heard, utterance: Utterance) -> None:
        """Act on what just became clear."""
        has_button = self._settings.has_button
        match heard:
            case Heard.SPEECH:
                self._emit(SpeechBegan())
            case Heard.PAUSE:
                utterance.look()
                self._begin_naming(utterance)
            case Heard.RESUMED:
                utterance.go_on()
                self._forget_name()
            case Heard.END if not has_button:
                self._end_utterance()
            case Heard.NOTHING if not has_button:
                self._rest()

    def _looked(self, text: str) -> None:
        """A look has come to its end."""
        if self.state is VoiceState.LISTENING and text:
            self._emit(PartialTranscript(text=text))
            self._segmenter.end_after(patience(text, self._settings.endpointing.silence_seconds))

    def _end_utterance(self) -> None:
        utterance = self._utterance
        if utterance is None:
            return
        now = asyncio.get_running_loop().time()
        self._emit(SpeechEnded(seconds=utterance.seconds))
        self._enter(VoiceState.THINKING)
        self._barge_in = None
        self._begin_naming(utterance)
        marks = _Marks(spoken=now - self._segmenter.silent_seconds, endpoint=now)
        self._answering = self._tasks.create_task(self._to_the_end(self._respond(utterance, marks)))

    def _forget_utterance(self) -> None:
        self._forget_name()
        if self._utterance:
            self._utterance.drop()
            self._utterance = None

    def _begin_naming(self, utterance: Utterance) -> None:
        """As the transcript, at the first pause: then both are there when the silence has been long enough."""
        if self._parts.who_speaks:
            self._parts.who_speaks.begin(utterance.pcm)

    def _forget_name(self) -> None:
        if self._parts.who_speaks:
            self._parts.who_speaks.drop()

    async def _name(self) -> str:
        who_speaks = self._parts.who_speaks
        return await who_speaks.name(wait_seconds=NAME_SECONDS) if who_speaks else ""

    # --- being interrupted ---

    def _watch_for_interruption(self, pcm: Pcm) -> None:
        if self._settings.barge_in is None:
            return
        if self._utterance:
            if self._utterance.seconds >= self._settings.endpointing.max_seconds:
                return  # who talks without end is answered now, whatever they go on to say
            self._utterance.push(pcm)
        if self._barge_in is None:
            self._parts.activity.reset()
            self._barge_in = BargeIn(self._settings.barge_in)
        for probability in self._parts.activity.push(pcm):
            match self._barge_in.push(speech_probability=probability, seconds=VAD_SECONDS):
                case Reaction.DUCK:
                    self._parts.loudspeaker.duck(DUCKED)
                case Reaction.GO_ON:
                    self._parts.loudspeaker.duck(1.0)
                case Reaction.STOP:
                    self._listen_to_interruption()
                    return

    def _listen_to_interruption(self) -> None:
        """Somebody speaks, as is known already."""
        utterance = self._utterance
        self._interrupt()
        if utterance is None:
            self._start_listening(self._settings.endpointing.wait_seconds, beginning_seconds=BEFORE_SPEECH_SECONDS)
            self._segmenter.begin()
            self._emit(SpeechBegan())
            return
        # They had only paused: what they say now belongs to what they said.
        utterance.go_on()
        self._forget_name()
        self._enter(VoiceState.LISTENING)

    def _interrupt(self) -> None:
        """Cut what is being said and drop the rest of the answer."""
        self._barge_in = None
        self._parts.loudspeaker.duck(1.0)
        if self._answering is None:
            return
        heard = self._narration.cut() if self._narration else ""
        self._answering.cancel()
        self._answering = self._narration = None
        if self.state is VoiceState.SPEAKING:
            self._parts.loudspeaker.cut()
            self._emit(Interrupted(heard=heard))

    # --- answering ---

    async def _to_the_end(self, answer: Coroutine[None, None, bool]) -> None:
        """Answer, and see what comes after; unless it was interrupted, when somebody else sees to that."""
        goes_on = False
        try:
            goes_on = await answer
        except EdgedError as exc:
            if self._answering is asyncio.current_task():
                self._emit(TurnFailed(code=exc.code.name, message=exc.message))
        if self._answering is asyncio.current_task():
            self._after_answer(goes_on=goes_on)

    def _after_answer(self, *, goes_on: bool) -> None:
        """Whoever was answered may go on, and may have begun to."""
        has_voice = self._barge_in is not None and self._barge_in.has_voice
        self._answering = self._narration = self._barge_in = None
        self._parts.loudspeaker.duck(1.0)
        if goes_on and self._settings.follow_up_seconds and self._parts.wake_words:
            beginning_seconds = BEFORE_SPEECH_SECONDS if has_voice else 0.0
            self._start_listening(self._settings.follow_up_seconds, beginning_seconds=beginning_seconds)
        else:
            self._rest()

    async def _respond(self, utterance: Utterance, marks: _Marks) -> bool:
        """Returns whether a follow-up may be expected."""
        clock = asyncio.get_running_loop().time
        hears = await self._parts.turns.hears(self._settings.model)
        text = utterance.text_if_whole if hears else await utterance.transcript()
        speaker = await self._name()
        self._utterance = None  # from here on, what is said is something new
        marks.transcript = clock()
        self._emit(FinalTranscript(text=text, speaker=speaker))
        done = self._parts.skills.respond(text)
        if done is not None:
            marks.first_token = clock()
            await self._do(done, marks)
            return not done.is_over
        if not hears and not text:
            return False
        question = Audio(data=to_wav(utterance.pcm), media_type="audio/wav") if hears else Text(text=text)
        await self._ask_again_if_forgotten(question, marks)
        if self._parts.emotions:
            self._tasks.create_task(self._read_emotion(self._parts.emotions, utterance.pcm))
        return True

    async def _read_emotion(self, emotions: EmotionReader, pcm: Pcm) -> None:
        """Once the answer was given, which it must not delay. Not to know costs nobody anything."""
        with suppress(EdgedError):
            emotion = await emotions.read(Audio(data=to_wav(pcm), media_type="audio/wav"))
            self._emit(EmotionHeard(emotion=emotion))

    async def _do(self, done: Done, marks: _Marks) -> None:
        """What needs no model."""
        if done.volume is not None:
            self._change_volume(done.volume)
        if done.reply:
            self._emit(TextDelta(text=done.reply))
            await self._say(done.reply, marks)
        if done.mutes:
            self._parts.mute()

    def _change_volume(self, change: ChangeVolume) -> None:
        loudspeaker = self._parts.loudspeaker
        wanted = change.to if change.to is not None else loudspeaker.volume_percent + (change.by or 0)
        loudspeaker.volume_percent = min(max(wanted, 0), 100)
        self._emit(VolumeChanged(percent=loudspeaker.volume_percent))

    async def _ask_again_if_forgotten(self, question: Part, marks: _Marks) -> None:
        """In a new conversation, where the one that went on was deleted or is long past."""
        now = asyncio.get_running_loop().time()
        if self._thread.answered_at and now - self._thread.answered_at > self._settings.forget_seconds:
            self._thread.conversation_id = ""
        self._thread.answered_at = now
        try:
            await self._ask(question, marks)
        except NotFound as exc:
            if not self._thread.conversation_id or (exc.resource or ("",))[0] != "conversation":
                raise
            self._thread.conversation_id = ""
            await self._ask(question, marks)
        self._thread.answered_at = asyncio.get_running_loop().time()

    async def _ask(self, question: Part, marks: _Marks) -> None:
        """A turn of the stored conversation; it stays open until its answer was heard: what was not, is not kept."""
        narration = self._new_narration(marks)
        speaking = asyncio.create_task(narration.run())
        try:
            await self._tell(question, narration, speaking, marks)
        except EdgedError:
            narration.finish()  # what came before it failed is said to its end
            await asyncio.wait({speaking})
            raise
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
        speaking.result()  # a voice that failed costs nobody the answer, which is stored by now

    async def _tell(self, question: Part, narration: Narration, speaking: asyncio.Task[None], marks: _Marks) -> None:
        turn = self._parts.turns.run(
            parts=(question,),
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
                        marks.first_token = marks.first_token or asyncio.get_running_loop().time()
                        narration.push(text)
                    case Measured():
                        narration.finish()
                        await asyncio.wait({speaking})

    async def _say(self, text: str, marks: _Marks | None) -> None:
        narration = self._new_narration(marks)
        narration.push(text)
        narration.finish()
        await narration.run()

    def _new_narration(self, marks: _Marks | None) -> Narration:
        self._narration = Narration(
            self._parts.voice,
            self._parts.loudspeaker,
            language=self._settings.language,
            saying=lambda text: self._emit(Speaking(text=text)),
            first_sound=lambda: self._begin_speaking(marks),
        )
        return self._narration

    def _begin_speaking(self, marks: _Marks | None) -> None:
        self._barge_in = None
        self._parts.loudspeaker.duck(1.0)
        self._enter(VoiceState.SPEAKING)
        if marks is None:
            return
        milliseconds = [
            1000 * (moment - marks.spoken)
            for moment in (marks.endpoint, marks.transcript, marks.first_token, asyncio.get_running_loop().time())
        ]
        names = ("endpoint_ms", "transcript_ms", "first_token_ms", "first_audio_ms")
        self._emit(TurnTimings(**dict(zip(names, milliseconds, strict=True))))

    def _enter(self, state: VoiceState) -> None:
        if state is not self.state:
            self.state = state
            self._emit(StateChanged(state=state))
