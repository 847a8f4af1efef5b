"""A conversation by voice: waiting, listening, thinking, speaking, and being interrupted.

The conductor of the stages. It is fed sound, ten milliseconds at a time or more, and emits events; where the sound
comes from and where the answer is heard, it does not know: a room's microphone and speaker, or a phone's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

from edged.audio.pcm import SAMPLE_RATE, Pcm
from edged.audio.ring_buffer import RingBuffer
from edged.errors import EdgedError
from edged.pipeline.answering import Answering, Moments
from edged.pipeline.barge_in import BargeIn, Reaction
from edged.pipeline.ports import VAD_SECONDS
from edged.pipeline.utterance import Utterance
from edged.pipeline.vad import Heard, Segmenter, patience
from edged.pipeline.voice_parts import ConversationThread, VoiceParts, VoiceSettings
from edged.voice_events import (
    Interrupted,
    PartialTranscript,
    SpeechBegan,
    SpeechEnded,
    StateChanged,
    TurnFailed,
    VoiceEvent,
    VoiceState,
    WakeDetected,
)

DUCKED = 0.3
"""Volume while it is not clear yet whether somebody speaks."""
BEFORE_SPEECH_SECONDS = 0.5
"""Sound kept from before the moment when somebody was heard to speak."""
AFTER_WAKE_SECONDS = 0.1
"""Of the sound before a wake word was recognised, what may already be the question."""
TURN_PIECES = 8
"""Sound that comes faster than it was spoken leaves others their turn after so many pieces."""
RING_SECONDS = 0.2
"""Between two looks at the timers."""


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
        self._answers = Answering(
            parts,
            settings,
            self._thread,
            emit,
            sounding=self._begin_speaking,
            spawn=lambda work: self._tasks.create_task(work),
        )
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

    async def run(self, sound: AsyncIterator[Pcm]) -> None:
        """Take sound until it ends, and finish what was begun; cancelling it ends the conversation at once."""
        async with asyncio.TaskGroup() as self._tasks:
            ringing = self._tasks.create_task(self._ring())
            try:
                if self._utterance is None:
                    self._rest()
                taken = 0
                async for pcm in sound:
                    self.hear(pcm)
                    taken += 1
                    if taken % TURN_PIECES == 0:
                        await asyncio.sleep(0)
                if self.state is VoiceState.LISTENING and self._segmenter.has_begun:
                    self._end_utterance()
                if self._answering:
                    await asyncio.wait({self._answering})
            finally:
                ringing.cancel()
                if self._answering:
                    self._answers.cut()
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
                self._answering = self._tasks.create_task(self._to_the_end(self._answers.announce(text)))

    @property
    def _is_spoken_to(self) -> bool:
        return self.state is VoiceState.LISTENING and self._segmenter.has_begun

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
        moments = Moments(spoken=now - self._segmenter.silent_seconds, endpoint=now)
        answer = self._answers.respond(utterance, moments, self._understood)
        self._answering = self._tasks.create_task(self._to_the_end(answer))

    def _understood(self) -> None:
        """From here on, what is said is something new."""
        self._utterance = None

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
        heard = self._answers.cut()
        self._answering.cancel()
        self._answering = None
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
        self._answering = self._barge_in = None
        self._parts.loudspeaker.duck(1.0)
        if goes_on and self._settings.follow_up_seconds and self._parts.wake_words:
            beginning_seconds = BEFORE_SPEECH_SECONDS if has_voice else 0.0
            self._start_listening(self._settings.follow_up_seconds, beginning_seconds=beginning_seconds)
        else:
            self._rest()

    def _begin_speaking(self) -> None:
        self._barge_in = None
        self._parts.loudspeaker.duck(1.0)
        self._enter(VoiceState.SPEAKING)

    def _enter(self, state: VoiceState) -> None:
        if state is not self.state:
            self.state = state
            self._emit(StateChanged(state=state))
