"""The words of an utterance, without punctuation, wake phrase and courtesies."""

from __future__ import annotations

import re
import unicodedata

_NUMBER_MARKS = str.maketrans({"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "’": "'", "‘": "'"})
_SIMPLIFIED = str.maketrans(
    "現幾點設個鐘時間計聲調麥風關閉別說話鬧數請問麼兩號禮開還長響結來給幫為啟創刪沒聽靜過這裡麵雞後喚嗎單謝會煩從讓樣講週減輕動邊們當報訴雲對應",
    "现几点设个钟时间计声调麦风关闭别说话闹数请问么两号礼开还长响结来给帮为启创删没听静过这里面鸡后唤吗单谢会烦从让样讲周减轻动边们当报诉云对应",
)
"""Speech recognition writes Chinese in either script; the commands are written in one."""

_WAKE = (
    r"(?:(?:(?:ok|okay|o k|kay|hey|hi) )?(?:nabu|naboo|nabou|naboe|nabo|na bu|na boo|nah boo|nabboo|nabo o)"
    r"|(?:ok|okay|o k|hey|hi) (?:nabi|nobu|noboo|napoo|naba|nabil|nahbu|now boo|jarvis|mycroft)"
    r"|alexa|(?:okay |ok |hey )edged)"
)
_ENGLISH_START = re.compile(
    rf"(?:{_WAKE}|please|ok|okay|hey|hi|hello|um|uh|er|so|well|now|just|and then|go ahead and|lets|quickly"
    r"|(?:can|could|would|will) you(?: please| just)?|i (?:want|need) you to|id like you to|i would like you to) "
)
_ENGLISH_END = re.compile(
    rf" (?:{_WAKE}|please|thanks|thank you|for me|ok|okay|now|right now|at the moment|currently"
    r"|will you|would you|already)\Z"
)
_CHINESE_START = re.compile(
    r"(?:ok|okay|hey|嘿|嗨)?(?:nabu|naboo|nabo|纳布|那布|娜布)|ok(?:ay)?|请问|请|麻烦你|麻烦|帮我|帮忙|给我"
    r"|你能不能|你能|你可以|能不能|可不可以|可以|我想|我要|那个|嗯|喂|你好|再帮我"
)
_CHINESE_END = re.compile(r"(?:可以吗|好不好|好吗|行吗|谢谢你|谢谢|一下|吗|吧|呀|啊|呢|嘛|哦|啦|哈)\Z")


def any_of(*forms: str) -> re.Pattern[str]:
    """One pattern of several forms, each a regular expression; for `fullmatch`."""
    return re.compile("|".join(forms))


def english_words(utterance: str) -> str:
    """Okay Nabu, what's the time? -> whats the time. Dots, colons and slashes stay between figures."""
    text = unicodedata.normalize("NFKC", utterance.translate(_NUMBER_MARKS)).lower().replace("⁄", "/")
    text = re.sub(r"(?<=\d),(?=\d{3})|'", "", text).replace("%", " percent ")
    text = re.sub(r"(?<!\d)[.:/]|[.:/](?!\d)|[^\w\s.:/]|_", " ", text)
    words = " ".join(text.split())
    while found := _ENGLISH_START.match(words + " "):
        words = words[found.end() :]
    while found := _ENGLISH_END.search(words):
        words = words[: found.start()]
    return re.sub(r"\bwhat is\b", "whats", words)


def chinese_words(utterance: str) -> str:
    """请问，現在幾點？ -> 现在几点. No spaces; dots, colons, slashes and percent signs stay behind figures."""
    text = unicodedata.normalize("NFKC", utterance).lower().translate(_SIMPLIFIED)
    text = re.sub(r"(?<!\d)[.:/%]|[.:/](?!\d)|[^\w.:/%]|_", "", text)
    while found := _CHINESE_START.match(text):
        text = text[found.end() :]
    while found := _CHINESE_END.search(text):
        text = text[: found.start()]
    return text
