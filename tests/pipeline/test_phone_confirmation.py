"""Which words on a screen have to be agreed to, and which not; and what counts where nothing is written."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from edged.events import ReasoningDelta
from edged.pipeline.phone.agent import PhoneAgent
from edged.pipeline.phone.confirmation import confirmation
from edged.pipeline.phone.dialect import read
from edged.pipeline.phone.sensitive import (
    DELETING,
    LETTING_IN,
    MEANINGS,
    PAYING,
    TELLING,
    Meaning,
    agrees,
    of_button,
    of_task,
)
from edged.records import Back, PastStep, PhoneStep, StepRequest, TypeText
from tests.pipeline.phone_screen import Lines, ScriptedSight, png, screen_of
from tests.server.scripted import ScriptedModel, Step, says

TAPPED = 'do(action="Tap", element=[500,250])'
TAP = read(TAPPED)

SENSITIVE = {
    PAYING: """
        Pay | Pay now | PAY $12.99 | Pay12.50 | Paynow | Proceed to payment | Buy now | BUY IT NOW | Buyitnow
        Purchase
        Checkout | Check out | Order | ORDER · 23,50 € | Order now | Order again | Reorder | Reorder list | Pre-order
        Place order | Place your order | Placeyourorder | Confirm order | Confirm your order | Complete order
        Submit order | Book | Book now | Booknow | Book a table | Confirm booking | Complete reservation
        Confirm trip
        Reserve | Request a ride | Add card | Add a new card | Add payment method | Save card | Subscribe | Renew
        Start your free trial | Upgrade | Donate | Transfer | Withdraw | Top up | Place bid | Send money | 3 × Buy
        支付 | 立即支付 | 确认支付 | 微信支付 | 付款 | 去付款 | 付钱 | 付费 | 买单 | 结账 | 去结算(3) | 购买
        立即购买 | 下单
        提交订单 | 确认订单 | 立即预订 | 预订 | 预约 | 抢购 | 立即抢购 | 充值 | 续费 | 开通会员 | 转账 | 汇款 | 提现
        缴费
        还款 | 绑定银行卡 | 添加银行卡 | 确认叫车 | 打赏 | 捐款 | 订阅 | 拼单 | ¥25.8 去支付""",
    DELETING: """
        Delete | Delete account | DELETE ALL | Remove | Remove from list | Erase | Wipe | Discard | Clear all
        Clear data
        Clear storage | Empty trash | Move to trash | Movetotrash | Move to bin | Trash | Uninstall | Reset
        Factory reset
        Restore defaults | Format | Format SD card | Format painter | Deactivate | Unsubscribe | Cancel order
        Cancel subscription | Cancel your booking | Close account
        删除 | 删掉 | 移除 | 清空 | 清除数据 | 清理缓存 | 卸载 | 重置 | 恢复出厂设置 | 恢复出厂 | 格式化 | 注销账号
        移到回收站
        退款 | 申请退货 | 退订 | 取消订单 | 取消预订 | 解绑""",
    TELLING: """
        Send | SEND | Send (2) | Reply | Forward | Post | Publish | Share | Share location | Share my live location
        Submit
        Call | Dial | Invite | Follow | Unfollow | Block | Unblock | Block user | Report | Report spam | Add friend
        Go live | Comment
        发送 | 发表 | 发布 | 回复 | 分享 | 分享位置 | 转发 | 拨打 | 呼叫 | 提交 | 邀请 | 举报 | 拉黑 | 屏蔽 | 取消关注
        + 关注 | 加好友""",
    LETTING_IN: """
        Allow | Allow all | Allow only while using the app | While using the app | Only this time | Grant
        Grant access
        Permit | Trust | Authorize | Authorise | Trust this device | Install | Install now | Sign in with Google
        Sign up
        Continue with Google | Create account | Register | Log out | Logout | Sign out
        允许 | 始终允许 | 仅在使用期间允许 | 授权 | 授权登录 | 同意并授权 | 授予 | 信任 | 安装 | 立即安装 | 注册
        退出登录 | 登出""",
}
HARMLESS = """
    Next | Back | Search | Menu | Settings | Home | Payload | Border | Borders | In alphabetical order | My orders
    Your orders | Order history | Orders | Facebook | Books | Notebook | Bookmarks | Buyer's guide | PayPal | Display
    Recall | Called | Reporter | Reports | Information | Platform | Installed | Allowed apps | Swallow | Postcards
    Shared with you | Followers | Blocked | Upload | Don't allow | Don’t allow | Dontallow | Do not send
    Cancel | Close | Not now | Skip | Details | Resetting… | Transferring | Sort by price | Cart | Add to cart
    支付宝 | 我的订单 | 订单详情 | 已安装 | 关注 | 首页 | 搜索 | 设置 | 返回 | 取消 | 下一页 | 加入购物车 | 不允许
    拒绝
    暂不开通 | 不再提醒 | 发现 | 消息 | 联系人 | 附近 | 我"""
AGREEMENTS = """
    OK | Ok! | Okay | Yes | Yes, I'm sure | Confirm | Continue | Continue → | Proceed | Next | Finish | Done | Apply
    Save | I agree | Accept | Agree and continue | 确定 | 确认 | 确认无误 | 是 | 好 | 好的 | 同意 | 同意并继续 | 继续
    下一步
    完成 | 保存"""
NO_AGREEMENTS = "Cancel | No | Later | Next week's weather | Okra | Yesterday | 取消 | 否 | 不同意 | 好友 | 完成度"


def several(written: str) -> list[str]:
    return [one.strip() for line in written.strip().splitlines() for one in line.split("|")]


CASES = [(meaning.deed, text) for meaning in MEANINGS for text in several(SENSITIVE[meaning])]


@pytest.mark.parametrize(("deed", "text"), CASES)
def test_buttons_to_agree_to(deed: str, text: str) -> None:
    assert deed in of_button(text)
    assert text in confirmation(TAP, screen_of({text: (500, 250)}))
    assert confirmation(TAP, screen_of({text: (500, 900)})) == "", "it is elsewhere"


@pytest.mark.parametrize("text", several(HARMLESS))
def test_buttons_that_only_lead_somewhere(text: str) -> None:
    assert not of_button(text)
    assert confirmation(TAP, screen_of({text: (500, 250)})) == ""


@pytest.mark.parametrize("text", several(AGREEMENTS))
def test_who_says_yes_agrees_to_what_is_around(text: str) -> None:
    assert agrees(text)
    assert confirmation(TAP, screen_of({text: (500, 250), "Welcome": (500, 100)}), task="Look at the weather") == ""
    assert "Delete this chat?" in confirmation(TAP, screen_of({text: (500, 250), "Delete this chat?": (500, 100)}))
    assert "to pay or order" in confirmation(TAP, screen_of({text: (500, 250)}), task="Order a pizza")


@pytest.mark.parametrize("text", several(NO_AGREEMENTS))
def test_who_says_something_else_does_not(text: str) -> None:
    assert not agrees(text)


@pytest.mark.parametrize(
    ("task", "meaning"),
    [
        ("Order a pepperoni pizza", PAYING),
        ("Book me a room in Lyon", PAYING),
        ("Get me a taxi home", PAYING),
        ("买一箱牛奶", PAYING),
        ("帮我点外卖", PAYING),
        ("订一张去上海的高铁票", PAYING),
        ("打车去机场", PAYING),
        ("Tell Ann that I am late", TELLING),
        ("Text mom", TELLING),
        ("告诉妈妈我晚点到", TELLING),
        ("给小王发微信", TELLING),
        ("Get rid of the old photos", DELETING),
        ("把垃圾短信删了", DELETING),
        ("Install Signal", LETTING_IN),
        ("What is the weather in Paris?", None),
        ("Show me my orders", None),
        ("Open the notebook and read it to me", None),
        ("打开支付宝", None),
        ("今天天气怎么样", None),
    ],
)
def test_what_a_task_asks_for(task: str, meaning: Meaning | None) -> None:
    assert of_task(task) == ({meaning.deed} if meaning else set())


CART: Lines = {"Total $12.00": (500, 100), "Pay with Visa": (500, 800)}
CHAT: Lines = {"Ann": (500, 50), "I am late": (300, 900)}


@pytest.mark.parametrize(
    ("lines", "options", "asks"),
    [
        ({}, {"task": "Look at the weather"}, False),
        ({}, {"task": "Buy milk"}, False),
        (CART, {"task": "Look at the weather"}, False),
        (CART, {"task": "Buy milk"}, True),
        (CART, {"task": "Tell Ann that I am late"}, False),
        (CHAT, {"task": "Tell Ann that I am late"}, False),
        (CHAT, {"task": "Tell Ann that I am late", "has_typed": True}, True),
        (CHAT, {"task": "Look for Ann", "has_typed": True}, False),
        (CHAT, {"thought": "I have typed it. Now I tap the send button."}, True),
        (CHAT, {"thought": "消息写好了。点击发送按钮。"}, True),
        (CHAT, {"thought": "I will send it later. First I open the menu."}, False),
    ],
)
def test_where_nothing_is_written(lines: Lines, options: dict[str, Any], asks: bool) -> None:
    """The task counts, and what the model thought last."""
    reason = confirmation(TAP, screen_of(lines), **options)
    assert reason.startswith("nothing is written there") if asks else reason == ""


async def test_the_steps_before_and_the_thoughts_are_told() -> None:
    """By who asks the model."""
    silent, typed = PastStep(action=Back()), PastStep(action=TypeText(text="I am late"))
    request = StepRequest(task="Tell Ann that I am late", screenshot=png(), app="Chat")
    thinks: list[Step] = [ReasoningDelta(text="Well. Now I tap "), ReasoningDelta(text="Send."), *says(TAPPED)]
    for script, history, asks in [(says(TAPPED), silent, False), (says(TAPPED), typed, True), (thinks, silent, True)]:
        agent = PhoneAgent(ScriptedModel(script), ScriptedSight(CHAT))
        async with aclosing(agent.step(replace(request, history=(history,)))) as events:
            (step,) = [event async for event in events if isinstance(event, PhoneStep)]
        assert bool(step.confirmation) is asks
