"""Plain commands are recognised however speech recognition writes them, and nothing else is taken for one."""

from __future__ import annotations

import re

import pytest

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
    match,
)


def timer(seconds: float, name: str = "") -> SetTimer:
    return SetTimer(seconds=seconds, name=name)


LOUDER, QUIETER = ChangeVolume(by=10), ChangeVolume(by=-10)

ENGLISH: list[tuple[Intent, list[str]]] = [
    (
        TellTime(),
        [
            "what time is it",
            "What time is it?",
            "What's the time?",
            "What’s the time?",
            "What is the time?",
            "Okay Nabu, what time is it?",
            "OK, Naboo. What's the time?",
            "Okay, Nabu! What time is it now?",
            "O.K. Nabu, what's the time, please?",
            "Can you tell me what time it is?",
            "Could you please tell me the time?",
            "Do you have the time?",
            "Do you know what time it is?",
            "What's the current time?",
            "Hey, what time is it right now?",
        ],
    ),
    (
        TellDate(),
        [
            "What day is it?",
            "what day is it today",
            "What's the date?",
            "What's the date today?",
            "What is today's date?",
            "What day of the week is it?",
            "What date is it today?",
            "Okay Nabu, what day is today?",
            "Tell me the date, please.",
            "Do you know what day it is?",
        ],
    ),
    (
        timer(300),
        [
            "Set a timer for five minutes.",
            "Set a timer for 5 minutes.",
            "set timer five minutes",
            "Set a five-minute timer.",
            "5 minute timer",
            "Timer for five minutes, please.",
            "Okay Nabu, set a timer for 5 minutes.",
            "OK, Naboo, could you set a timer for five minutes?",
            "Start a timer for 5 minutes.",
            "Set another timer for 5 minutes.",
            "Can you give me a 5 minute timer?",
            "I need a timer for five minutes.",
            "Count down five minutes.",
            "Remind me in five minutes.",
            "Set a timer for 300 seconds.",
            "Set a timer for five minutes, thank you.",
        ],
    ),
    (timer(600), ["Set a 10 minute timer.", "Create a ten minute timer, please."]),
    (
        timer(4800, "pasta"),
        ["Set a pasta timer for 1 hour 20 minutes.", "Set a pasta timer for one hour and twenty minutes"],
    ),
    (timer(4800), ["Set a timer for one hour twenty.", "Set a timer for 1h 20m."]),
    (
        timer(150),
        ["Set a timer for two and a half minutes.", "Set a timer for 2.5 minutes.", "Set a 2 1/2 minute timer."],
    ),
    (timer(1800), ["Set a timer for half an hour.", "Set a half hour timer.", "Set a timer for thirty minutes."]),
    (
        timer(5400),
        ["Start a timer for an hour and a half.", "Set a timer for 1½ hours.", "Set a timer for one and a half hours."],
    ),
    (timer(900), ["Set a timer for a quarter of an hour.", "Set a timer for fifteen minutes"]),
    (
        timer(90),
        ["Set a timer for 90 seconds.", "Set a timer for a minute and a half.", "Set a timer for 1 minute 30 seconds."],
    ),
    (timer(120), ["Set a timer for a couple of minutes.", "Set a timer for one hundred and twenty seconds."]),
    (timer(1500), ["Set a timer for twenty five minutes.", "Set a timer for twenty-five minutes."]),
    (
        timer(180, "egg"),
        ["Set an egg timer for 3 minutes.", "Set a three minute egg timer.", "Set a timer for 3 minutes for the egg."],
    ),
    (
        timer(600, "pasta"),
        [
            "Set a timer called pasta for 10 minutes.",
            "Set a timer for 10 minutes called pasta.",
            "Set a timer for pasta for ten minutes.",
            "Set a 10 minute timer for the pasta.",
        ],
    ),
    (timer(172800), ["Set a timer for two days."]),
    (timer(0), ["Set a timer for zero minutes."]),
    (
        CancelTimer(),
        [
            "Cancel the timer.",
            "Stop the timer.",
            "Turn off the timer.",
            "Turn the timer off.",
            "Delete my timer, please.",
        ],
    ),
    (
        CancelTimer(all=True),
        ["Cancel all timers.", "Cancel all of my timers.", "Stop my timers.", "Clear all the timers."],
    ),
    (
        CancelTimer(name="pasta"),
        ["Cancel the pasta timer.", "Cancel the timer for the pasta.", "Turn the pasta timer off."],
    ),
    (CancelTimer(seconds=300.0), ["Cancel the five minute timer.", "Cancel my 5-minute timer."]),
    (
        TimeLeft(),
        [
            "How much time is left?",
            "How much time is left on the timer?",
            "How long is left on my timer?",
            "How many minutes are left?",
            "When does the timer end?",
            "Check the timer.",
            "What timers do I have?",
            "How much longer?",
        ],
    ),
    (TimeLeft(name="pasta"), ["How much time is left on the pasta timer?", "When is the pasta timer done?"]),
    (
        LOUDER,
        [
            "Volume up.",
            "Turn it up.",
            "Turn up the volume.",
            "Turn the volume up.",
            "Louder!",
            "Speak louder, please.",
            "Make it louder.",
            "Increase the volume.",
            "Speak up.",
        ],
    ),
    (
        QUIETER,
        ["Volume down.", "Turn it down.", "Lower the volume.", "Quieter.", "Turn the sound down.", "That's too loud."],
    ),
    (ChangeVolume(by=5), ["A little louder.", "Turn it up a bit."]),
    (ChangeVolume(by=-5), ["Turn the volume down a little."]),
    (ChangeVolume(by=25), ["Much louder!", "Turn it up a lot."]),
    (ChangeVolume(by=20), ["Turn it up by 20 percent.", "Increase the volume by twenty percent."]),
    (
        ChangeVolume(to=40),
        [
            "Set the volume to 40 percent.",
            "Set the volume to 40%.",
            "Volume 40.",
            "Set volume to forty percent.",
            "Turn the volume down to 40%.",
        ],
    ),
    (ChangeVolume(to=100), ["Max volume.", "Set the volume to maximum.", "Set the volume to 150 percent."]),
    (ChangeVolume(to=0), ["Mute the sound.", "Mute.", "Set the volume to zero."]),
    (
        Stop(),
        [
            "Stop.",
            "Stop!",
            "Okay Nabu, stop.",
            "Stop talking.",
            "Be quiet.",
            "Never mind.",
            "Nevermind",
            "Shut up!",
            "Cancel.",
            "That's enough.",
            "Please stop.",
            "Can you stop?",
            "Forget it.",
            "Stop it, please.",
        ],
    ),
    (
        Mute(),
        [
            "Mute the microphone.",
            "Mute your mic.",
            "Stop listening.",
            "Turn off the microphone.",
            "Turn the mic off.",
            "Could you please stop listening?",
            "Don't listen.",
        ],
    ),
]

CHINESE: list[tuple[Intent, list[str]]] = [
    (
        TellTime(),
        [
            "现在几点",
            "现在几点？",
            "现在几点了？",
            "几点了",
            "請問現在幾點？",
            "现在是几点钟？",
            "OK Nabu，现在几点？",
            "你能告诉我现在几点吗？",
            "现在时间是几点？",
            "报时",
        ],
    ),
    (
        TellDate(),
        [
            "今天几号",
            "今天几号？",
            "今天星期几？",
            "今天是几月几号",
            "今天周几",
            "今天几月几号星期几？",
            "今天的日期是什么？",
            "今天是星期幾？",
        ],
    ),
    (
        timer(300),
        [
            "设一个五分钟的定时器",
            "设一个5分钟的定时器。",
            "設一個五分鐘的計時器",
            "五分钟倒计时",
            "倒计时五分钟",
            "请帮我设一个五分钟的定时器，谢谢。",
            "设置定时器五分钟",
            "定时五分钟",
            "定一个五分钟的闹钟",
            "五分钟后提醒我",
            "设一个定时器，时间五分钟",
        ],
    ),
    (timer(1200), ["来个二十分钟的定时器", "设定20分钟的定时器"]),
    (timer(5400), ["设一个一个半小时的定时器", "定时一个半小时"]),
    (timer(150), ["设一个两分半的定时器", "两分半钟的计时器", "设一个2.5分钟的定时器"]),
    (timer(1800), ["设一个半小时的定时器", "设一个半个小时的定时器"]),
    (timer(4800), ["设置一个1小时20分钟的定时器", "设一个一小时二十分钟的定时器"]),
    (timer(900), ["设一个一刻钟的定时器"]),
    (timer(90), ["设一个九十秒的定时器", "设一个一分三十秒的定时器"]),
    (timer(600, "煮面"), ["设一个十分钟的煮面定时器", "设一个煮面的定时器，十分钟", "设一个煮面定时器十分钟"]),
    (CancelTimer(), ["取消定时器", "把定时器取消", "关掉定时器", "停止计时", "把定时器关了"]),
    (CancelTimer(all=True), ["取消所有定时器", "取消所有的定时器", "把所有定时器取消掉"]),
    (CancelTimer(name="煮面"), ["取消煮面定时器", "取消煮面的定时器"]),
    (CancelTimer(seconds=300.0), ["取消五分钟的定时器"]),
    (
        TimeLeft(),
        ["还剩多少时间？", "定时器还剩多久？", "计时器还有多长时间", "定时器什么时候响？", "离定时器结束还有多久"],
    ),
    (TimeLeft(name="煮面"), ["煮面的定时器还剩多久", "煮面定时器还有几分钟？"]),
    (
        LOUDER,
        ["声音大一点", "声音大一点。", "大声一点", "大点声", "音量调高", "调高音量", "请把声音调大一点", "太小声了"],
    ),
    (QUIETER, ["声音小一点", "小声点", "音量调低一点", "把音量调小", "太吵了"]),
    (ChangeVolume(by=20), ["音量增加百分之二十", "音量提高20%"]),
    (ChangeVolume(to=40), ["音量调到百分之四十", "把音量调到40", "音量40%", "把音量调到40%。"]),
    (ChangeVolume(to=100), ["音量最大", "音量调到最大"]),
    (ChangeVolume(to=0), ["静音"]),
    (Stop(), ["停", "停！", "别说了", "別說了。", "安静", "闭嘴", "算了", "不用了", "停下来", "够了"]),
    (Mute(), ["关闭麦克风", "關閉麥克風", "把麦克风关掉", "麦克风静音", "别听了", "停止聆听"]),
]

BETWEEN_CHARACTERS = re.compile(r"(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])")


def _cases(table: list[tuple[Intent, list[str]]]) -> list[tuple[str, Intent]]:
    return [(utterance, intent) for intent, utterances in table for utterance in utterances]


@pytest.mark.parametrize(("utterance", "intent"), _cases(ENGLISH))
def test_english_commands(utterance: str, intent: Intent) -> None:
    assert match(utterance, "en") == intent
    assert match(utterance.upper(), "en-US") == intent
    assert match(f" Okay, Nabu. {utterance}", "en") == intent


@pytest.mark.parametrize(("utterance", "intent"), _cases(CHINESE))
def test_chinese_commands(utterance: str, intent: Intent) -> None:
    assert match(utterance, "zh") == intent
    assert match(BETWEEN_CHARACTERS.sub(" ", utterance), "zh-TW") == intent
    assert match(f"请{utterance}", "zh") == intent


def test_commands_are_those_of_their_language() -> None:
    assert match("stop", "zh") is None
    assert match("停", "en") is None
    assert match("stop", "de") is None
    assert match("停", "cmn-Hans") == Stop()
