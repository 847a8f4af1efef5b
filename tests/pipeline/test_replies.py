"""What is answered to a plain command, word for word."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import InvalidInput
from edged.pipeline.intents import (
    CancelTimer,
    ChangeVolume,
    Intent,
    Mute,
    SetTimer,
    Stop,
    TellDate,
    TellTime,
    TimeLeft,
)
from edged.pipeline.replies import done, refusal, reply
from edged.pipeline.speakable import speakable
from edged.pipeline.timers import MAX_TIMERS, Timer, Timers

AFTERNOON = datetime(2026, 11, 26, 15, 5)
PASTA = Timer(seconds=600, name="pasta", due=600)
NOODLES = Timer(seconds=600, name="煮面", due=600)
PLAIN = Timer(seconds=300, name="", due=300)


@pytest.mark.parametrize(
    ("hour", "minute", "english", "chinese"),
    [
        (15, 5, "It is 3:05 pm.", "现在是十五点零五分。"),
        (0, 0, "It is 12:00 am.", "现在是零点整。"),
        (0, 30, "It is 12:30 am.", "现在是零点三十分。"),
        (2, 10, "It is 2:10 am.", "现在是两点十分。"),
        (12, 0, "It is 12:00 pm.", "现在是十二点整。"),
        (23, 59, "It is 11:59 pm.", "现在是二十三点五十九分。"),
    ],
)
def test_the_time(hour: int, minute: int, english: str, chinese: str) -> None:
    now = datetime(2026, 11, 26, hour, minute)
    assert reply(TellTime(), "en", now=now) == english
    assert reply(TellTime(), "zh-CN", now=now) == chinese


@pytest.mark.parametrize(
    ("day", "english", "chinese"),
    [
        (datetime(2026, 11, 26), "It is Thursday, November 26.", "今天是十一月二十六日，星期四。"),
        (datetime(2024, 2, 29), "It is Thursday, February 29.", "今天是二月二十九日，星期四。"),
        (datetime(2027, 1, 3), "It is Sunday, January 3.", "今天是一月三日，星期日。"),
    ],
)
def test_the_date(day: datetime, english: str, chinese: str) -> None:
    assert reply(TellDate(), "en", now=day) == english
    assert reply(TellDate(), "zh", now=day) == chinese


@pytest.mark.parametrize(
    ("seconds", "name", "reply_said"),
    [
        (300, "", "Timer set for five minutes."),
        (60, "", "Timer set for one minute."),
        (1, "", "Timer set for one second."),
        (150, "", "Timer set for two minutes and thirty seconds."),
        (4800, "pasta", "Pasta timer set for one hour and twenty minutes."),
        (3661, "", "Timer set for one hour, one minute and one second."),
        (86400, "BBQ", "BBQ timer set for twenty-four hours."),
    ],
)
def test_a_timer_that_was_set_in_english(seconds: float, name: str, reply_said: str) -> None:
    assert reply(SetTimer(seconds=seconds, name=name), "en", now=AFTERNOON) == reply_said


@pytest.mark.parametrize(
    ("seconds", "name", "reply_said"),
    [
        (300, "", "已设好五分钟的定时器。"),
        (150, "", "已设好两分三十秒的定时器。"),
        (4800, "煮面", "已设好一小时二十分钟的煮面定时器。"),
    ],
)
def test_a_timer_that_was_set_in_chinese(seconds: float, name: str, reply_said: str) -> None:
    assert reply(SetTimer(seconds=seconds, name=name), "zh", now=AFTERNOON) == reply_said


@pytest.mark.parametrize(
    ("intent", "running", "cancelled", "english", "chinese"),
    [
        (CancelTimer(), [], [PLAIN], "Timer cancelled.", "已取消定时器。"),
        (CancelTimer(), [], [NOODLES], "煮面 timer cancelled.", "已取消煮面定时器。"),
        (CancelTimer(seconds=300), [], [PLAIN], "Timer for five minutes cancelled.", "已取消五分钟的定时器。"),
        (CancelTimer(all=True), [], [PLAIN, PASTA], "Two timers cancelled.", "已取消两个定时器。"),
        (CancelTimer(all=True), [], [], "No timer is running.", "没有正在运行的定时器。"),
        (CancelTimer(), [], [], "No timer is running.", "没有正在运行的定时器。"),
        (CancelTimer(name="tea"), [PLAIN], [], "There is no tea timer.", "没有tea定时器。"),
        (CancelTimer(seconds=60), [PLAIN], [], "There is no timer for one minute.", "没有一分钟的定时器。"),
        (
            CancelTimer(),
            [PLAIN, PASTA],
            [],
            "There are two of them. Which timer do you mean?",
            "有两个定时器，您要取消哪一个？",
        ),
    ],
)
def test_timers_that_were_cancelled_or_not(
    intent: CancelTimer, running: list[Timer], cancelled: list[Timer], english: str, chinese: str
) -> None:
    left = [(timer, 60.0) for timer in running]
    assert reply(intent, "en", now=AFTERNOON, timers=left, cancelled=cancelled) == english
    assert reply(intent, "zh", now=AFTERNOON, timers=left, cancelled=cancelled) == chinese


@pytest.mark.parametrize(
    ("intent", "timers", "english", "chinese"),
    [
        (TimeLeft(), [], "No timer is running.", "没有正在运行的定时器。"),
        (TimeLeft(), [(PLAIN, 250.4)], "The timer has four minutes and ten seconds left.", "定时器还剩四分十秒。"),
        (TimeLeft(), [(NOODLES, 0.2)], "The 煮面 timer has one second left.", "煮面定时器还剩一秒。"),
        (
            TimeLeft(),
            [(PLAIN, 60), (PASTA, 120)],
            "The timer for five minutes has one minute left. The pasta timer has two minutes left.",
            "五分钟的定时器还剩一分钟。pasta定时器还剩两分钟。",
        ),
        (
            TimeLeft(name="Pasta"),
            [(PLAIN, 60), (PASTA, 120)],
            "The pasta timer has two minutes left.",
            "pasta定时器还剩两分钟。",
        ),
        (TimeLeft(name="tea"), [(PLAIN, 60)], "There is no tea timer.", "没有tea定时器。"),
    ],
)
def test_the_time_that_is_left(intent: TimeLeft, timers: list[tuple[Timer, float]], english: str, chinese: str) -> None:
    assert reply(intent, "en", now=AFTERNOON, timers=timers) == english
    assert reply(intent, "zh", now=AFTERNOON, timers=timers) == chinese


@pytest.mark.parametrize(
    ("intent", "english", "chinese"),
    [
        (ChangeVolume(to=40), "Volume at 40 percent.", "音量百分之四十。"),
        (ChangeVolume(by=10), "Louder.", "声音大了。"),
        (ChangeVolume(by=-5), "Quieter.", "声音小了。"),
        (Mute(), "The microphone is off.", "麦克风已关闭。"),
        (Stop(), "", ""),
    ],
)
def test_the_rest(intent: Intent, english: str, chinese: str) -> None:
    assert reply(intent, "en", now=AFTERNOON) == english
    assert reply(intent, "zh", now=AFTERNOON) == chinese
    assert reply(intent, "fr", now=AFTERNOON) == english


def test_a_timer_that_is_done() -> None:
    assert done(PASTA, "en") == "Your pasta timer is done."
    assert done(PLAIN, "en") == "Your timer for five minutes is done."
    assert done(NOODLES, "zh") == "煮面定时器到时间了。"
    assert done(PLAIN, "zh") == "五分钟的定时器到时间了。"


def test_a_timer_that_cannot_be_set() -> None:
    timers = Timers()
    with pytest.raises(InvalidInput) as raised:
        timers.set(0, 0)
    assert refusal(raised.value, "en") == "A timer can run from one second to twenty-four hours."
    assert refusal(raised.value, "zh") == "定时器可以设一秒到二十四小时。"
    for _ in range(MAX_TIMERS):
        timers.set(0, 60)
    with pytest.raises(InvalidInput) as raised:
        timers.set(0, 60)
    assert refusal(raised.value, "en") == "There are fifty timers already."
    assert refusal(raised.value, "zh") == "已经有五十个定时器了。"
    assert refusal(InvalidInput("x", field="name"), "en") == "I cannot set that timer."
    assert refusal(InvalidInput("x", field="name"), "zh") == "这个定时器设不了。"


@given(st.integers(0, 527_040))
def test_every_time_and_date_can_be_said(minutes: int) -> None:
    now = datetime(2024, 1, 1) + timedelta(minutes=minutes)
    for intent in (TellTime(), TellDate()):
        for language in ("en", "zh"):
            said = speakable(reply(intent, language, now=now), language)
            assert said.endswith((".", "。"))
            assert not any(map(str.isdigit, said))


def test_a_reply_as_it_is_spoken() -> None:
    assert speakable(reply(TellTime(), "en", now=AFTERNOON), "en") == "It is three oh five p.m."
    assert speakable(reply(TellDate(), "en", now=AFTERNOON), "en") == "It is Thursday, November twenty-sixth."
