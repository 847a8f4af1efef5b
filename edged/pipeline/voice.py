"""A conversation by voice: waiting, listening, thinking, speaking, and being interrupted.

The conductor of the stages. It is fed sound, ten milliseconds at a time or more, and emits events; where the sound
comes from and where the answer is heard, it does not know: a room's microphone and speaker, or a phone's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_wav
from edged.audio.ring_buffer import RingBuffer
from edged.errors import EdgedError
from edged.events import Audio, Measured, Part, Sampling, Started, Text, TextDelta
from edged.pipeline.barge_in import BargeIn, BargeInSettings, Reaction
from edged.pipeline.intents import ChangeVolume
from edged.pipeline.narration import Narration
from edged.pipeline.ports import (
    VAD_SECONDS,
    Loudspeaker,
    SpeechToText,
    TextToSpeech,
    VoiceActivity,
    WakeWords,
)
from edged.pipeline.skills import Done, Skills
from edged.pipeline.turn import TurnConductor
from edged.pipeline.utterance import Utterance
from edged.pipeline.vad import Endpointing, Heard, Segmenter, patience
from edged.pipeline.wake_word import WakeWordDetector
from edged.pipeline.who_speaks import WhoSpeaks
from edged.voice_events import (
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings:
    """How a conversation by voice goes."""

    language: str = "en"
    """Of what is said, and of what is answered without the model."""
    endpointing: Endpointing = field(default_factory=Endpointing)
    barge_in: BargeInSettings | None = field(default_factory=BargeInSettings)
    """None: it cannot be interrupted by voice, because its own voice would interrupt it."""
    follow_up_seconds: float = 8.0
    """After an answer one may go on without the wake phrase for so long; 0 asks for it every time."""
    partial_seconds: float = 1.0
    """Between two looks at what somebody is saying; 0 looks only when they pause."""
    has_button: bool = False
    """An utterance begins with `press` and ends with `release`; silence ends nothing."""
    model: str = ""
    """Name of the engine that answers; empty for the default one."""
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceParts:
    """What a conversation is made of; ears are its own, the others may be shared."""

    turns: TurnConductor
    speech: SpeechToText
    voice: TextToSpeech
    activity: VoiceActivity
    wake_words: WakeWords | None
    """None: whoever speaks is meant to be heard."""
    wake_detector: WakeWordDetector | None
    loudspeaker: Loudspeaker
    skills: Skills
    mute: Callable[[], None]
    """Closes the microphone for good, if it is one's own."""
    who_speaks: WhoSpeaks | None = None
    """Of this conversation; None where nobody wants to know."""


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
        conversation_id: str = "",
    ) -> None:
        self.conversation_id = conversation_id
        """Of the stored conversation; empty until the first turn of a new one."""
        self.state = VoiceState.WAITING
        self._parts = parts
        self._settings = settings
        self._emit = emit
        self._recent = RingBuffer(BEFORE_SPEECH_SECONDS)
        self._segmenter = Segmenter(settings.endpointing)
        self._barge_in: BargeIn | None = None
        self._utterance: Utterance | None = None
        self._looked_seconds = 0.0
        self._tasks: asyncio.TaskGroup
        self._answering: asyncio.Task[None] | None = None
        self._narration: Narration | None = None
        self._has_asked = False
        """The question being answered is stored."""

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
                self._interrupt()
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

    async def _ring(self) -> None:
        """Announce timers that ran out, when nobody speaks to us."""
        while True:
            await asyncio.sleep(RING_SECONDS)
            is_idle = self.state is VoiceState.WAITING or not (self._segmenter.has_begun or self._answering)
            if is_idle and (text := self._parts.skills.due()):
                self._forget_utterance()
                self._answering = self._tasks.create_task(self._announce(text))

    async def _announce(self, text: str) -> None:
        try:
            self._emit(TextDelta(text=text))
            await self._say(text, None)
        except EdgedError as exc:
            self._emit(TurnFailed(code=exc.code.name, message=exc.message))
        self._after_answer(goes_on=False)

    # --- waiting ---

    def _rest(self) -> None:
        """Wait for the button or the wake phrase; where there is neither, listen."""
        if self._parts.wake_words is None and not self._settings.has_button:
            self._start_listening(self._settings.endpointing.wait_seconds, beginning_seconds=BEFORE_SPEECH_SECONDS)
            return
        self._forget_utterance()
        if self._parts.wake_words:
            self._parts.wake_words.reset()
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

    # --- listening ---

    def _start_listening(self, wait_seconds: float, *, beginning_seconds: float) -> None:
        self._forget_utterance()
        self._parts.activity.reset()
        self._segmenter.reset(wait_seconds=wait_seconds)
        beginning = self._recent.last(int(beginning_seconds * SAMPLE_RATE))
        self._utterance = Utterance(self._parts.speech, looked=self._looked, beginning=beginning)
        self._looked_seconds = 0.0
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
        self._look_now_and_then(utterance)

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

    def _look_now_and_then(self, utterance: Utterance) -> None:
        """For partial transcripts of long utterances, while somebody speaks."""
        seconds = self._settings.partial_seconds
        is_speaking = self._segmenter.has_begun and self._segmenter.silent_seconds == 0
        if seconds and is_speaking and utterance.seconds - self._looked_seconds >= seconds:
            self._looked_seconds = utterance.seconds
            utterance.look()
            utterance.go_on()

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
        self._has_asked = False
        self._answering = self._tasks.create_task(self._answer(utterance, marks))

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
        if self._utterance and not self._has_asked:
            self._utterance.push(pcm)
        if self._settings.barge_in is None:
            return
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
        utterance = None if self._has_asked else self._utterance
        self._interrupt()
        if utterance is None:
            self._start_listening(self._settings.endpointing.wait_seconds, beginning_seconds=BEFORE_SPEECH_SECONDS)
            return
        # They had only paused: what they say now belongs to what they said.
        utterance.go_on()
        self._forget_name()
        self._enter(VoiceState.LISTENING)

    def _interrupt(self) -> None:
        """Cut what is being said and drop the rest of the answer."""
        was_speaking = self.state is VoiceState.SPEAKING
        heard = self._narration.cut() if self._narration and was_speaking else ""
        self._parts.loudspeaker.cut()
        self._parts.loudspeaker.duck(1.0)
        self._barge_in = None
        if self._answering and not self._answering.done():
            self._answering.cancel()
            self._answering = None
            if was_speaking:
                self._emit(Interrupted(heard=heard))

    # --- answering ---

    async def _answer(self, utterance: Utterance, marks: _Marks) -> None:
        goes_on = False
        try:
            goes_on = await self._respond(utterance, marks)
        except EdgedError as exc:
            self._emit(TurnFailed(code=exc.code.name, message=exc.message))
        self._after_answer(goes_on=goes_on)

    async def _respond(self, utterance: Utterance, marks: _Marks) -> bool:
        """Returns whether a follow-up may be expected."""
        clock = asyncio.get_running_loop().time
        hears = await self._parts.turns.hears(self._settings.model)
        text = utterance.text_so_far if hears else await utterance.transcript()
        speaker = await self._name()
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
        self._has_asked = True
        await self._ask(question, marks)
        return True

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

    async def _ask(self, question: Part, marks: _Marks) -> None:
        """A turn of the stored conversation; it stays open until its answer was heard: what was not, is not kept."""
        narration = self._new_narration(marks)
        speaking = asyncio.create_task(narration.run())
        turn = self._parts.turns.run(
            parts=(question,),
            conversation_id=self.conversation_id,
            model=self._settings.model,
            sampling=self._settings.sampling,
            heard=narration.heard_of_cut,
        )
        try:
            async with aclosing(turn):
                async for event in turn:
                    self._emit(event)
                    match event:
                        case Started(conversation_id=conversation_id):
                            self.conversation_id = conversation_id
                        case TextDelta(text=text):
                            marks.first_token = marks.first_token or asyncio.get_running_loop().time()
                            narration.push(text)
                        case Measured():
                            narration.finish()
                            await asyncio.wait({speaking})
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})
        speaking.result()  # a voice that failed costs nobody the answer, which is stored by now

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
        self._enter(VoiceState.SPEAKING)
        if marks is None:
            return
        milliseconds = [
            1000 * (moment - marks.spoken)
            for moment in (marks.endpoint, marks.transcript, marks.first_token, asyncio.get_running_loop().time())
        ]
        names = ("endpoint_ms", "transcript_ms", "first_token_ms", "first_audio_ms")
        self._emit(TurnTimings(**dict(zip(names, milliseconds, strict=True))))

    def _after_answer(self, *, goes_on: bool) -> None:
        """Whoever was answered may go on."""
        self._answering = self._narration = None
        self._parts.loudspeaker.duck(1.0)
        if goes_on and self._settings.follow_up_seconds and self._parts.wake_words:
            self._start_listening(self._settings.follow_up_seconds, beginning_seconds=0.0)
        else:
            self._rest()

    def _enter(self, state: VoiceState) -> None:
        if state is not self.state:
            self.state = state
            self._emit(StateChanged(state=state))
