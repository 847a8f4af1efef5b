"""What buttons and tasks say that cannot be undone, costs something or tells somebody, in English and Chinese.

One table for each meaning. Where it is not certain what a word means on a button, the tables hold it: to be asked
once too often is better than to have ordered. Text readers lose the blanks between words and read a price as part of
a button, so "Placeyourorder" and "Pay 12.50" count as well; "border" holds no order.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

_ENDINGS = "(?: (?:it|all|now|again|here|today|only))*"
"""What may follow each phrase."""
_REFUSAL = re.compile(
    r"^\W*(?:don['’`]?t|do not)(?:\s*[a-z]+){1,3}\W*$"
    r"|^\W*(?:不(?:允许|授权|同意|信任|删除|清除|卸载|安装|发送|分享|提交|支付|购买|要|用|再|了)|别|暂不|拒绝).{0,6}$",
    re.IGNORECASE,
)


class Meaning(NamedTuple):
    """What some buttons do."""

    deed: str
    """Goes on "the task is to"."""
    button: str
    task: str

    def is_of_button(self, text: str) -> bool:
        """Whether what is written somewhere means this, and not the opposite."""
        return bool(_compiled(self.button).search(text)) and not _REFUSAL.search(text)

    def is_of_task(self, text: str) -> bool:
        """Whether a task asks for this."""
        return bool(_compiled(self.task).search(text))


def _meaning(
    deed: str, *, english: Sequence[str], alone: Sequence[str], chinese: Sequence[str], asked: Sequence[str]
) -> Meaning:
    """Phrases are regular expressions in which blanks may be missing.

    english: whole words, anywhere in a line. alone: English as well, where the line has no other letters.
    asked: more ways to say it in a task.
    """
    whole_line = f"^[^a-z]*(?:{'|'.join(alone)}){_ENDINGS}[^a-z]*$"
    button = f"{_words(english)}|{whole_line}|{'|'.join(chinese)}"
    task = f"{button}|{_words([one for one in (*alone, *asked) if one.isascii()])}"
    more = [one for one in asked if not one.isascii()]
    return Meaning(deed, button, "|".join([task, *more]))


def _words(phrases: Sequence[str]) -> str:
    return f"(?<![a-z])(?:{'|'.join(phrases)}){_ENDINGS}(?![a-z])"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """When it is looked for first: all of them together take a daemon that drives no phone too long."""
    return re.compile(pattern.replace(" ", r"\s*"), re.IGNORECASE)


_OF = "(?: (?:a|an|the|my|your|this|our))?"
_BOOKED = "(?:booking|reservation|appointment|ride|trip|pick-?up|tickets?)"
_WAYS_TO_PAY = "(?:card|bank account|payment method)"

PAYING = _meaning(
    "pay or order",
    english=(
        "pay(?:ing|ments?)?",
        "buy(?:ing)?",
        "purchas(?:e|ing)",
        "check out",
        rf"(?:place|submit|confirm|complete|finish|send|review|make){_OF} (?:orders?|{_BOOKED})",
        "order (?:now|again|it|online|pick-?up|delivery)",
        "(?:re|pre)-?order",
        "book (?:now|it|online|this|a|an|your|room|table|tickets?|ride|flight|hotel)",
        "reserve",
        rf"request{_OF} (?:ride|car|taxi)",
        rf"(?:add|link|save|use){_OF}(?: new)?(?: (?:credit|debit|bank|payment))? {_WAYS_TO_PAY}",
        "subscribe",
        "start(?: your)?(?: free)? trial",
        "(?:place|raise|make)(?: a| your)? bid",
        "renew",
        "upgrade",
        "donate",
        "redeem",
        "transfer",
        "withdraw",
        "deposit",
        "top up",
        "cash out",
        "send money",
    ),
    alone=("order", "book", "rent", "tip", "bid"),
    chinese=(
        "支付(?!宝)",
        "付[款钱费]",
        "买单",
        "结[账帐算]",
        "收银",
        "购买",
        "立即[买订购]",
        "抢购",
        "下单",
        "(?:提交|确认|去)订单",
        "订购",
        "预[订定约]",
        "订票",
        "拼[单团]",
        "叫车",
        "租[车借用]",
        "转[账帐]",
        "汇款",
        "充值",
        "提现",
        "还款",
        "缴费",
        "借款",
        "捐[款赠]",
        "打赏",
        "兑换",
        "续[费订]",
        "开通",
        "订阅",
        "(?:添加|绑定)(?:银行)?卡",
        "绑卡",
    ),
    asked=("get me", "买", "订", "点(?:一?份|外卖|餐)", "打车", "付(?!宝)"),
)
DELETING = _meaning(
    "delete or reset",
    english=(
        "delet(?:e|ing)",
        "remov(?:e|ing)",
        "eras(?:e|ing)",
        "wipe",
        "discard",
        "overwrite",
        "clear (?:all|data|cache|storage|history|everything)",
        "empty(?: the)?(?: recycle)? (?:trash|bin)",
        "(?:move|send|put) to(?: the)?(?: recycle)? (?:trash|bin)",
        "uninstall",
        "(?:factory |hard )?reset",
        "restore (?:factory|defaults?)",
        "format",
        "deactivate",
        "unsubscribe",
        rf"cancel{_OF} (?:orders?|subscription|membership|account|{_BOOKED})",
        rf"close{_OF} account",
    ),
    alone=("trash", "clear"),
    chinese=(
        "删[除掉]",
        "移除",
        "清[空除理]",
        "抹[掉除]",
        "格式化",
        "卸载",
        "重置",
        "恢复(?:出厂|默认)",
        "注销",
        "(?:移[到至入]|放[到入])?(?:回收站|废纸篓|垃圾桶)",
        "解绑",
        "退[订款货]",
        "取消(?:订单|预[订定约]|订阅|会员|行程)",
    ),
    asked=("get rid of", "throw away", "删"),
)
TELLING = _meaning(
    "tell somebody something",
    english=(
        "send(?:ing)?",
        "reply",
        "forward",
        "post",
        "publish",
        "tweet",
        "share",
        "submit",
        "invite",
        "call",
        "dial",
        "go live",
        "unfollow",
        "(?:un)?block (?:user|contact|caller|number|account|person|him|her|them)",
        "report (?:user|spam|post|account|abuse|message|number)",
        "(?:add|remove) friends?",
        "friend request",
    ),
    alone=("follow", "(?:un)?block", "report", "comment"),
    chinese=(
        "发[送表布出]",
        "群发",
        "回复",
        "转发",
        "分享",
        "发评论",
        "提交",
        "拨[打号]",
        "呼叫",
        "邀请",
        "举报",
        "拉黑",
        "屏蔽",
        r"[+＋] 关注",
        "取消关注",
        "[加添]加?好友",
    ),
    asked=(
        "tell",
        "text",
        "message",
        "e-?mail",
        "write to",
        "answer",
        "ring",
        "告诉",
        "发(?![现生烧])",
        "打电话",
        "联系",
        "通知",
    ),
)
LETTING_IN = _meaning(
    "let something in or out",
    english=(
        "allow",
        "grant",
        "permit",
        "authori[sz]e",
        r"trust(?: this)?(?: (?:device|computer|browser|app))?",
        "while using the app",
        "install",
        "sign (?:in|up) with",
        "continue with (?:google|facebook|apple|wechat)",
        "sign up",
        "register",
        "create(?: an?)? account",
        "log out",
        "sign out",
    ),
    alone=("(?:only )?this time",),
    chinese=(
        "允许",
        "授[权予]",
        "信任",
        "(?<!已)安装",
        "注册",
        "退出(?:登录|账号|帐号)",
        "登出",
        "授权登录",
    ),
    asked=(),
)
MEANINGS = (PAYING, DELETING, TELLING, LETTING_IN)

_AGREEMENT = re.compile(
    r"^[^a-z]*(?:(?:i )?(?:agree|accept)|ok(?:ay)?|yes|confirm|continue|proceed|next|finish|done|apply|save|sure)"
    r"(?:[^a-z]+(?:and|&|i|am|m|sure|agree|accept|confirm|continue|proceed|it|to|anyway))*[^a-z]*$"
    r"|^\W*(?:我?(?:确定|确认|同意|接受)|是的?|好的?|继续|下一步|完成|保存|应用)"
    r"(?:并|且|无误|继续|确认|同意|吗)*\W*$",
    re.IGNORECASE,
)


def of_button(text: str) -> set[str]:
    """Deeds that something written on a screen stands for."""
    return {meaning.deed for meaning in MEANINGS if meaning.is_of_button(text)}


def of_task(text: str) -> set[str]:
    """Deeds that a task asks for."""
    return {meaning.deed for meaning in MEANINGS if meaning.is_of_task(text)}


def agrees(text: str) -> bool:
    """Whether a button says yes, to whatever stands around it."""
    return bool(_AGREEMENT.search(text))
