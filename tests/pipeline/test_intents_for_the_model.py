"""What only sounds like a plain command goes to the model."""

from __future__ import annotations

import pytest

from edged.pipeline.intents import (
    match,
)

NOT_ENGLISH = [
    "What time did the war start?",
    "What time is it in London?",
    "What time does the store close?",
    "What is the time complexity of quicksort?",
    "What's the time difference to Tokyo?",
    "Is it time to go?",
    "Time flies.",
    "What is the date of Easter?",
    "What day is Christmas this year?",
    "What was the date yesterday?",
    "What day was it when Rome fell?",
    "What's the date format in Germany?",
    "What is a date palm?",
    "How do I stop a nosebleed?",
    "How can I stop smoking?",
    "Stop the car.",
    "When will the rain stop?",
    "Stop motion animation, explain.",
    "Why can't I stop laughing?",
    "Don't stop.",
    "Never mind the gap, what does it mean?",
    "Why is it quiet?",
    "Cancel my subscription.",
    "Cancel my meeting at five.",
    "Set a timer.",
    "Set a timer for pasta.",
    "Set an alarm for seven.",
    "Set the table.",
    "How do timers work?",
    "How does a timer for five minutes work?",
    "Who invented the egg timer?",
    "Don't set a timer for five minutes.",
    "Set a timer for five minutes and tell me a joke.",
    "Set a timer for five minutes and another for ten minutes.",
    "Remind me in ten minutes to call mom.",
    "Tell me about the pasta timer for five minutes.",
    "What can I cook in five minutes?",
    "How long is five minutes in seconds?",
    "Should I cancel the timer?",
    "How do I cancel a timer on my phone?",
    "How much time is left in the game?",
    "How long does pasta take?",
    "How much longer will the war last?",
    "What is the volume of a sphere?",
    "Volume of a cube with side three.",
    "Turn up the heat.",
    "Turn it into a list.",
    "Lower the temperature.",
    "Lower the risk of stroke, how?",
    "How loud is a jet?",
    "Play louder music by Queen.",
    "Who has the loudest voice?",
    "Set the brightness to 40 percent.",
    "What is 40 percent of 200?",
    "What is a microphone?",
    "How do I mute the microphone in Zoom?",
    "Which microphone should I buy?",
    "Why did you stop listening?",
    "Write a poem about silence.",
    "Good morning.",
    "Okay Nabu.",
    "Yes.",
    "",
    "...",
    "Thank you.",
]

NOT_CHINESE = [
    "战争是几点开始的",
    "伦敦现在几点",
    "几点开门",
    "复活节是几号",
    "明天星期几",
    "去年今天是星期几",
    "今天天气怎么样",
    "今天吃什么",
    "怎么止鼻血",
    "为什么停了",
    "停电了怎么办",
    "停车场在哪里",
    "别说英语",
    "安静的地方有哪些",
    "取消会议",
    "定时器怎么用",
    "设一个定时器",
    "什么是定时器",
    "不要设五分钟的定时器",
    "十分钟后提醒我打电话给妈妈",
    "煮面要几分钟",
    "还有多久过年",
    "什么时候下雨",
    "声音是怎么传播的",
    "音量是什么意思",
    "大声朗读这首诗",
    "圆的体积是多少",
    "麦克风是什么",
    "怎么关闭麦克风",
    "你好",
    "谢谢",
]


@pytest.mark.parametrize("utterance", NOT_ENGLISH)
def test_english_for_the_model(utterance: str) -> None:
    assert match(utterance, "en") is None
    assert match(f"Okay Nabu, {utterance}", "en") is None


@pytest.mark.parametrize("utterance", NOT_CHINESE)
def test_chinese_for_the_model(utterance: str) -> None:
    assert match(utterance, "zh") is None
