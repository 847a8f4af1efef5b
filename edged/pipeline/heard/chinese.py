"""Plain commands in Chinese, recognised only when nothing else is said with them."""

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
from edged.pipeline.heard.numbers import chinese_number, chinese_seconds
from edged.pipeline.heard.words import any_of, chinese_words

_TELL = r"(?:告诉我|你?知道)?"
_TIME = any_of(
    rf"{_TELL}(?:现在|目前|当前|这会儿)?的?(?:时间)?是?几点钟?(?:几分)?了?",
    rf"{_TELL}(?:现在|目前|当前)是?(?:什么时间|什么时候|多少点)了?",
    rf"(?:{_TELL}|说)(?:现在|当前)?的?时间(?:是多少|是什么|是几点)?|报个?时",
)
_DATE = any_of(
    rf"{_TELL}(?:今天|今儿|现在)?是?(?=.*几)(?:几月)?(?:几号|几日|多少号)?(?:是)?(?:星期几|周几|礼拜几)?了?",
    r"(?:告诉我)?今天的?日期(?:是什么|是多少|是几号)?|今天是?多少号",
)
_STOP = any_of(
    r"停|停停停?|停下来?|停止|停止说话|停止播放|打住|够了|闭嘴|住口|住嘴|安静|安静一?点儿?",
    r"(?:你?别|不要|不用)再?(?:说话|说|讲话|讲|念|吵)了?|算了|没事了?|不用了|别管了|取消",
)
_MICROPHONE = r"(?:你的)?(?:麦克风|话筒|麦)"
_MUTE = any_of(
    rf"(?:关闭|关掉|关上|关了|关|静音|禁用){_MICROPHONE}|把?{_MICROPHONE}(?:关闭|关掉|关上|关了|关|静音|禁用)掉?了?",
    r"停止(?:聆听|监听|收听|听)|(?:别|不要)再?(?:听|监听|偷听)我?(?:说话)?了?",
)

_SOUND = r"(?:声音|音量)"
_SOME = r"(?:(?P<small>一点点|一丢丢)|(?P<large>很多|许多|得多)|一点儿?|点儿?|一些|些)?"
_BY = r"(?:百分之(?P<by>[^%]+)|(?P<by2>\d+)%)?"
_VOLUME_STEPS = (
    any_of(rf"把?{_SOUND}再?(?:调|开|放|弄|变|调整)?得?(?P<way>大|高|响|小|低|轻){_SOME}{_BY}"),
    any_of(rf"把?{_SOUND}再?(?P<way>加大|增大|提高|增加|升高|减小|降低|减少){_SOME}{_BY}"),
    any_of(
        r"再?(?P<way>(?:调|放|开|关)(?:高|大|低|小)|加大|增大|提高|增加|升高|减小|降低|减少)"
        rf"(?:一点儿?|点儿?|一些)?{_SOUND}{_SOME}{_BY}"
    ),
    any_of(rf"(?:说话)?再?(?P<way>大|小)声{_SOME}(?:说话|说)?"),
    any_of(r"(?:说话)?再?(?P<way>大|小)一?点儿?声(?:说话|说)?"),
    any_of(rf"(?:说话)?再?(?P<way>响|轻){_SOME}"),
    any_of(rf"{_SOUND}太(?P<too>大|响|高|小|低|轻)了?"),
    any_of(r"(?P<too>听不清|听不见|太吵|太小声|太大声)了?"),
)
_UP = re.compile(r"[大高响]|增加")
_VOLUME_TO = any_of(
    rf"把?{_SOUND}(?:调整|调节|调|设置|设定|设|开|放|改|变)?(?:到|为|成|至)?(?:百分之)?(?P<level>.+?)%?",
    rf"(?:调|设|设置|设定|开)?(?P<named>最大|最小|一半){_SOUND}",
)
_LEVELS = {"最大": 100, "最高": 100, "满": 100, "一百": 100, "最小": 10, "最低": 10, "一半": 50}
_SILENT = any_of(rf"静音|把?{_SOUND}(?:关掉|关闭|关了|静音)|(?:关掉|关闭|关){_SOUND}")

_TIMER = r"(?:定时器|计时器|倒计时器|倒计时|定时|计时|闹钟)"
_SET = any_of(
    r"再?(?:设置|设定|设|定|开启|开始|开|启动|创建|新建|建|来|加|添加|订|做|弄)?(?:一个|个|一)?(?:新的?)?"
    rf"(?P<before>.*?)的?{_TIMER}(?P<after>.*)"
)
_IN = any_of(r"过?(?P<time>.+?)(?:以后|之后|后)再?(?:提醒|叫|喊|通知)(?:我|我一声|一声)?")
_CANCEL = r"(?:取消|关闭|关掉|关了|关|停止|停掉|停|删除|删掉|删了|删|结束|清除|清空)掉?"
_ALL = r"(?:所有|全部|每个|这些|两个)"
_CANCEL_ALL = any_of(
    rf"{_CANCEL}{_ALL}的?{_TIMER}",
    rf"把?{_ALL}的?{_TIMER}都?{_CANCEL}了?",
    rf"把?{_TIMER}(?:都|全部|全){_CANCEL}了?",
)
_CANCEL_ONE = any_of(
    rf"{_CANCEL}(?:这个|那个|我的)?(?P<which>.*?)的?{_TIMER}",
    rf"把(?:这个|那个|我的)?(?P<which2>.*?)的?{_TIMER}{_CANCEL}了?",
)
_HOW_LONG = r"(?:多少时间|多久|多长时间|几分钟|多少分钟|几秒)(?:的时间)?"
_UNTIL = r"(?:结束|到|响|到时间|完|完成|才结束|才到|才响|会响)?"
_TIME_LEFT = (
    any_of(rf"(?:我的|这个)?(?P<which>.*?)的?{_TIMER}(?:还剩下?|还有|剩下?|剩余|还要){_HOW_LONG}{_UNTIL}"),
    any_of(rf"(?:还剩下?|剩下?|还剩余){_HOW_LONG}"),
    any_of(rf"(?:离|距离)?(?P<which>.*?)的?{_TIMER}(?:结束|响|到时间?)(?:还剩下?|还有|还要){_HOW_LONG}"),
    any_of(rf"(?P<which>.*?)的?{_TIMER}(?:什么时候|几点|啥时候)会?(?:结束|响|到|完)"),
    any_of(rf"(?:现在|我)?有(?:哪些|几个|什么){_TIMER}(?:在运行)?|(?:查看|看看|列出)(?:我的|所有的?)?{_TIMER}"),
)
_NOT_A_NAME = re.compile(
    r"什么|怎么|如何|为何|多少|多久|几|取消|所有|全部|哪|谁|告诉|分钟|小时"
    r"|[关停删吗是还把呢了不和再后前点设秒0-9]"
)
"""What shows that more is meant than the name of a timer."""
MAX_NAME_CHARACTERS = 6


def match_chinese(utterance: str) -> Intent | None:
    """The command, when the utterance is nothing but that."""
    words = chinese_words(utterance)
    for pattern, intent in ((_STOP, Stop()), (_MUTE, Mute()), (_TIME, TellTime()), (_DATE, TellDate())):
        if pattern.fullmatch(words):
            return intent
    return _volume(words) or _cancel(words) or _time_left(words) or _set(words)


def _volume(words: str) -> ChangeVolume | None:
    if _SILENT.fullmatch(words):
        return ChangeVolume(to=0)
    for pattern in _VOLUME_STEPS:
        if found := pattern.fullmatch(words):
            return _step(found.groupdict())
    if found := _VOLUME_TO.fullmatch(words):
        level = found["named"] or found["level"]
        percent = _LEVELS.get(level, chinese_number(level))
        return None if percent is None else volume_to(percent)
    return None


def _step(said: dict[str, str | None]) -> ChangeVolume | None:
    if too := said.get("too"):
        up = too.startswith("听") or re.search("[小低轻]", too) is not None
        return ChangeVolume(by=STEP if up else -STEP)
    sign = 1 if _UP.search(said["way"] or "") else -1
    if by := said.get("by") or said.get("by2"):
        percent = chinese_number(by)
        return None if percent is None else ChangeVolume(by=sign * round(min(percent, 100)))
    if said.get("small"):
        return ChangeVolume(by=sign * SMALL_STEP)
    return ChangeVolume(by=sign * (LARGE_STEP if said.get("large") else STEP))


def _cancel(words: str) -> CancelTimer | None:
    if _CANCEL_ALL.fullmatch(words):
        return CancelTimer(all=True)
    if found := _CANCEL_ONE.fullmatch(words):
        which = _which(found["which"] or found["which2"] or "")
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
        seconds = chinese_seconds(found["time"])
        return None if seconds is None else SetTimer(seconds=seconds)
    found = _SET.fullmatch(words)
    if not found:
        return None
    seconds, name = _duration_first(found["before"])
    after = re.sub(r"^(?:时间是|时间为|时间|为|是|到)", "", found["after"])
    if seconds is None:
        seconds, after = _duration_first(after)
    if after or seconds is None or not _is_name(name):
        return None
    return SetTimer(seconds=seconds, name=name)


def _which(words: str) -> tuple[str, float | None] | None:
    """Name or length of the timer that is meant; None when the words are neither."""
    seconds, name = _duration_first(words)
    return (name, seconds) if _is_name(name) else None


def _duration_first(words: str) -> tuple[float | None, str]:
    """The longest duration at the beginning, and what follows it."""
    for count in range(len(words), 0, -1):
        seconds = chinese_seconds(words[:count])
        if seconds is not None:
            return seconds, words[count:].removeprefix("的").removesuffix("的")
    return None, words.removesuffix("的")


def _is_name(words: str) -> bool:
    """Whether a timer may be called so; empty is fine."""
    return len(words) <= MAX_NAME_CHARACTERS and not _NOT_A_NAME.search(words)
