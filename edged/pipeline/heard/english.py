"""Plain commands in English, recognised only when nothing else is said with them."""

from __future__ import annotations

import re

from edged.pipeline.heard.intent import (
    LARGE_STEP,
    SMALL_STEP,
    STEP,
    CancelTimer,
    ChangeVolume,
    Intent,
    Mute,
    SetTimer,
    Stop,
    TellDate,
    TellTime,
    TimeLeft,
    volume_to,
)
from edged.pipeline.heard.numbers import english_number, english_seconds
from edged.pipeline.heard.words import any_of, english_words

_TIME = any_of(
    r"what time is it(?: here| today)?",
    r"whats the (?:current )?time(?: here| today)?",
    r"what time (?:do we have|have you got)",
    r"(?:the )?(?:current )?time",
    r"(?:do you |you )?(?:know|have)(?: what)? (?:the time|time it is)",
    r"(?:tell|give) me (?:the (?:current )?time|what time it is)",
    r"do you have the time|how late is it|time check",
)
_DAY = r"(?:day|date|day of the week|day of the month)"
_DATE = any_of(
    rf"(?:what|which) {_DAY} (?:is it(?: today)?|is today|are we|do we have(?: today)?)",
    r"whats (?:the (?:current )?(?:date|day)(?: today)?|todays (?:date|day)|today)",
    rf"tell me (?:(?:the|todays) date|the date today|what {_DAY} it is(?: today)?)",
    rf"do you know what {_DAY} it is(?: today)?",
    r"(?:the |todays |the current )date",
)
_STOP = any_of(
    r"stop(?: it| that| this| talking| speaking| reading| there| please stop| the answer)?|stop stop(?: stop)?|no stop",
    r"(?:be |keep )?quiet|be silent|silence|hush|shush|shut up|(?:thats )?enough",
    r"never ?mind|cancel(?: that| it)?|forget (?:it|that|about it)|abort|dismiss",
)
_MICROPHONE = r"(?:the |your |my )?(?:microphone|mic|mike)s?"
_MUTE = any_of(
    rf"(?:mute|disable|turn off|switch off|shut off|close|deactivate) {_MICROPHONE}",
    rf"(?:turn|switch|shut) {_MICROPHONE} off|{_MICROPHONE} off",
    r"(?:stop|quit) listening(?: to (?:me|us))?|(?:dont|do not) listen(?: to (?:me|us))?(?: any ?more)?",
)

_SOUND = r"(?:the |your |my )?(?:volume level|volume|sound|audio|speakers?)"
_HOW_MUCH = (
    r"(?: (?:(?P<small>(?:a (?:little bit|little|bit|tad)|slightly)(?: more)?)|(?P<large>a lot(?: more)?|much)"
    r"|some(?: more)?|more|again))?(?: (?P<how>by|to) (?P<number>.+?)(?: percent)?)?"
)
_LOUDER = r"(?:(?:(?:a )?(?:(?P<small>little bit|little|bit|slightly|tad)|(?P<large>lot|much))) )?"
_VOLUME_STEPS = (
    any_of(rf"(?:turn|crank|pump|bring) (?:{_SOUND}|it|that|yourself) (?P<way>up|down){_HOW_MUCH}"),
    any_of(rf"(?:turn|crank|pump|bring) (?P<way>up|down) (?:{_SOUND}|it){_HOW_MUCH}"),
    any_of(rf"(?:volume|sound) (?P<way>up|down){_HOW_MUCH}"),
    any_of(rf"(?P<way>increase|raise|boost|decrease|lower|reduce) {_SOUND}{_HOW_MUCH}"),
    any_of(
        rf"(?:(?:make (?:it|{_SOUND})|speak|talk|be|say it) )?{_LOUDER}"
        r"(?P<way>louder|quieter|softer|more (?:quietly|softly))"
    ),
    any_of(r"(?P<way>speak up|i cant hear you|not so loud|(?:youre |thats |its )?too (?:loud|quiet))"),
)
_UP = re.compile(r"up|increase|raise|boost|louder|speak up|i cant hear you|.*too quiet")
_VOLUME_TO = any_of(
    rf"(?:(?:set|put|change|turn|make|adjust|bring) )?{_SOUND}(?: to| at)? (?P<number>.+?)(?: percent)?(?: volume)?",
    r"(?P<named>full|max|maximum|half|minimum) volume",
)
_VOLUME_OFF = any_of(rf"mute(?: it| {_SOUND})?", rf"(?:turn|switch) off {_SOUND}", rf"turn {_SOUND} off")
_LEVELS = {"max": 100, "maximum": 100, "full": 100, "half": 50, "minimum": 10, "min": 10}

_THE = r"(?:the |my |that |this |a |an |our )?"
_SET = any_of(
    r"(?:(?:set|start|create|make|add|begin|run|give me|give|i need|i want|id like|put|put on)(?: me)?(?: up)? )?"
    r"(?:(?:a|an|the|another|my|one|new|a new|another new) )?(?P<before>.*?) ?\btimer\b ?(?P<after>.*)"
)
_IN = any_of(
    r"(?:remind me|wake me(?: up)?|alert me|ping me|call me) in (?P<time>.+)",
    r"(?:count down|countdown)(?: from)? (?P<down>.+)",
)
_CALLED = any_of(r"(?:for|called|named|labell?ed) (?:the |my |a |an |some )?(.+)")
_NAME_AND_LENGTH = any_of(r"((?:for|called|named) .+?) (?:for|of|in) (.+)")
_CANCEL = r"(?:cancel|stop|delete|remove|clear|turn off|end|kill|dismiss|get rid of|shut off|switch off|silence)"
_CANCEL_ALL = any_of(
    rf"{_CANCEL} (?:all|both|every|each)(?: of)?(?: the| my)? timers?",
    rf"{_CANCEL} (?:the |my )?timers",
    r"turn (?:all|both)(?: of)?(?: the| my)? timers off",
)
_CANCEL_ONE = any_of(
    rf"{_CANCEL} {_THE}(?P<which>.*?) ?timer(?: (?:for|called|named) (?:the |my )?(?P<called>.+))?",
    rf"(?:turn|switch|shut) {_THE}(?P<off>.*?) ?timer off",
)
_HOW_LONG = r"how (?:much time|much longer|long|many minutes|many seconds)"
_HAVE = r"(?: is| are| do i have| do we have| have i got)?(?: still)?"
_LEFT = r"(?:left|remaining|to go)"
_ON = rf"(?:on|for|in|of) {_THE}(?P<which>.*?) ?timers?"
_IS_DONE = r"(?:goes off|is done|ends|is up|rings|is over|is finished|finishes)"
_TIME_LEFT = (
    any_of(rf"{_HOW_LONG}{_HAVE} {_LEFT}(?: {_ON})?"),
    any_of(rf"{_HOW_LONG}{_HAVE} {_ON}"),
    any_of(rf"{_HOW_LONG} (?:does|do) {_THE}(?P<which>.*?) ?timers? have(?: {_LEFT})?"),
    any_of(rf"{_HOW_LONG}(?: is it| is there)? (?:until|till|before) {_THE}(?P<which>.*?) ?timer {_IS_DONE}"),
    any_of(
        rf"when (?:does|will|is) {_THE}(?P<which>.*?) ?timer"
        r" (?:end|go off|finish|ring|done|up|over|finished|be done|be over)"
    ),
    any_of(
        rf"(?:check|whats on|whats left on|hows|how is|whats the status of) {_THE}(?P<which>.*?) ?timers?"
        r"(?: doing| status)?"
    ),
    any_of(
        r"how much longer|timer status|my timers",
        r"(?:what|which|how many) timers (?:are (?:running|set|there|active)|do i have(?: running)?)",
        r"(?:list|show|show me|tell me about|read) (?:all )?(?:of )?(?:my |the )?timers",
        r"(?:are there|do i have) any (?:active |running )?timers(?: running| set| left)?",
    ),
)
_NOT_A_NAME = frozenset((
    "a", "about", "all", "am", "an", "and", "any", "are", "at", "be", "been", "before", "both", "by", "can",
    "cancel", "could", "day", "days", "delete", "did", "do", "does", "dont", "every", "explain", "find", "for",
    "from", "get", "had", "has", "have", "hour", "hours", "how", "i", "if", "in", "is", "it", "its", "last", "long",
    "many", "me", "mean", "minute", "minutes", "much", "my", "never", "not", "of", "off", "on", "or", "please",
    "remove", "same", "second", "seconds", "set", "should", "start", "stop", "tell", "than", "that", "the", "then",
    "there", "they", "this", "timer", "timers", "to", "turn", "up", "use", "used", "was", "we", "were", "what",
    "whats", "when", "where", "which", "who", "why", "will", "with", "work", "works", "would", "you", "your",
))  # fmt: skip
"""Words that show that more is meant than the name of a timer."""
MAX_NAME_WORDS = 3


def match_english(utterance: str) -> Intent | None:
    """The command, when the utterance is nothing but that."""
    words = english_words(utterance)
    for pattern, intent in ((_STOP, Stop()), (_MUTE, Mute()), (_TIME, TellTime()), (_DATE, TellDate())):
        if pattern.fullmatch(words):
            return intent
    return _volume(words) or _cancel(words) or _time_left(words) or _set(words)


def _volume(words: str) -> ChangeVolume | None:
    if _VOLUME_OFF.fullmatch(words):
        return ChangeVolume(to=0)
    for pattern in _VOLUME_STEPS:
        if found := pattern.fullmatch(words):
            return _step(found.groupdict())
    if found := _VOLUME_TO.fullmatch(words):
        level = (found["named"] or found["number"]).removeprefix("the ")
        percent = _LEVELS.get(level, english_number(level))
        return None if percent is None else volume_to(percent)
    return None


def _step(said: dict[str, str | None]) -> ChangeVolume | None:
    sign = 1 if _UP.fullmatch(said["way"] or "") else -1
    if number := said.get("number"):
        percent = _LEVELS.get(number, english_number(number))
        if percent is None:
            return None
        return volume_to(percent) if said["how"] == "to" else ChangeVolume(by=sign * round(min(percent, 100)))
    if said.get("small"):
        return ChangeVolume(by=sign * SMALL_STEP)
    return ChangeVolume(by=sign * (LARGE_STEP if said.get("large") else STEP))


def _cancel(words: str) -> CancelTimer | None:
    if _CANCEL_ALL.fullmatch(words):
        return CancelTimer(all=True)
    if found := _CANCEL_ONE.fullmatch(words):
        which = _which(found["called"] or found["which"] or found["off"] or "")
        return CancelTimer(name=which[0], seconds=which[1]) if which else None
    return None


def _time_left(words: str) -> TimeLeft | None:
    for pattern in _TIME_LEFT:
        if found := pattern.fullmatch(words):
            which = _which(found.groupdict().get("which") or "")
            return TimeLeft(name=which[0], seconds=which[1]) if which else None
    return None


def _set(words: str) -> SetTimer | None:
    if found := _IN.fullmatch(words):
        seconds = english_seconds(found["time"] or found["down"])
        return None if seconds is None else SetTimer(seconds=seconds)
    found = _SET.fullmatch(words)
    if not found:
        return None
    seconds, name = _duration_first(found["before"])
    after = found["after"]
    if seconds is None:
        seconds, after = _duration_first(re.sub(r"^(?:for|of|to|in|at) ", "", after))
        called = _NAME_AND_LENGTH.fullmatch(found["after"])
        if seconds is None and called:
            seconds, after = english_seconds(called[2]), called[1]
    if after:
        called = _CALLED.fullmatch(after)
        if not called or name:
            return None
        name = called[1]
    return SetTimer(seconds=seconds, name=name) if seconds is not None and _is_name(name) else None


def _which(words: str) -> tuple[str, float | None] | None:
    """Name or length of the timer that is meant; None when the words are neither."""
    seconds, name = _duration_first(words)
    return (name, seconds) if _is_name(name) else None


def _duration_first(words: str) -> tuple[float | None, str]:
    """The longest duration at the beginning, and what follows it."""
    tokens = words.split()
    for count in range(len(tokens), 0, -1):
        seconds = english_seconds(" ".join(tokens[:count]))
        if seconds is not None:
            return seconds, " ".join(tokens[count:])
    return None, words


def _is_name(words: str) -> bool:
    """Whether a timer may be called so; empty is fine."""
    names = words.split()
    return len(names) <= MAX_NAME_WORDS and _NOT_A_NAME.isdisjoint(names) and not any(map(str.isdigit, words))
