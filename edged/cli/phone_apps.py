"""The names by which people call apps, and their packages on Android."""

from __future__ import annotations

import re

_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+")
_TABLE = """
Settings|设置: com.android.settings
Phone|Dialer|电话: com.google.android.dialer com.android.dialer
Messages|SMS|短信|信息: com.google.android.apps.messaging com.android.mms com.android.messaging
Contacts|联系人|通讯录: com.google.android.contacts com.android.contacts
Camera|相机: com.google.android.GoogleCamera com.android.camera com.android.camera2
Photos|Google Photos|Gallery|相册|图库: com.google.android.apps.photos com.android.gallery3d com.miui.gallery
Clock|时钟|闹钟: com.google.android.deskclock com.android.deskclock
Calendar|日历: com.google.android.calendar com.android.calendar
Calculator|计算器: com.google.android.calculator com.android.calculator2
Files|文件|文件管理: com.google.android.apps.nbu.files com.android.documentsui com.android.fileexplorer
Play Store|Google Play|应用商店: com.android.vending com.xiaomi.market com.huawei.appmarket
Chrome|浏览器|Browser: com.android.chrome com.android.browser
Firefox: org.mozilla.firefox
Gmail: com.google.android.gm
Maps|Google Maps|谷歌地图: com.google.android.apps.maps
YouTube: com.google.android.youtube
YouTube Music: com.google.android.apps.youtube.music
Drive|Google Drive: com.google.android.apps.docs
Keep|Google Keep: com.google.android.keep
WhatsApp: com.whatsapp
Telegram: org.telegram.messenger
Signal: org.thoughtcrime.securesms
Messenger: com.facebook.orca
Facebook: com.facebook.katana
Instagram: com.instagram.android
X|Twitter: com.twitter.android
TikTok: com.zhiliaoapp.musically com.ss.android.ugc.trill
Reddit: com.reddit.frontpage
Discord: com.discord
Slack: com.Slack
Outlook: com.microsoft.office.outlook
Teams: com.microsoft.teams
Zoom: us.zoom.videomeetings
Spotify: com.spotify.music
Netflix: com.netflix.mediaclient
Amazon: com.amazon.mShop.android.shopping
Uber: com.ubercab
Airbnb: com.airbnb.android
Booking|Booking.com: com.booking
Duolingo: com.duolingo
VLC: org.videolan.vlc
OsmAnd: net.osmand net.osmand.plus
F-Droid: org.fdroid.fdroid
微信|WeChat: com.tencent.mm
QQ: com.tencent.mobileqq
QQ音乐: com.tencent.qqmusic
腾讯视频: com.tencent.qqlive
企业微信: com.tencent.wework
微博|Weibo: com.sina.weibo
支付宝|Alipay: com.eg.android.AlipayGphone
淘宝|Taobao: com.taobao.taobao
闲鱼: com.taobao.idlefish
京东|JD: com.jingdong.app.mall
拼多多: com.xunmeng.pinduoduo
美团: com.sankuai.meituan
大众点评: com.dianping.v1
饿了么: me.ele
高德地图|Amap: com.autonavi.minimap
百度地图: com.baidu.BaiduMap
百度: com.baidu.searchbox
滴滴出行|滴滴|DiDi: com.sdu.didi.psnger
携程|携程旅行: ctrip.android.view
铁路12306|12306: com.MobileTicket
抖音|Douyin: com.ss.android.ugc.aweme
今日头条: com.ss.android.article.news
飞书|Lark: com.ss.android.lark
钉钉|DingTalk: com.alibaba.android.rimet
小红书|RED: com.xingin.xhs
哔哩哔哩|bilibili|B站: tv.danmaku.bili
快手: com.smile.gifmaker
知乎: com.zhihu.android
豆瓣: com.douban.frodo
网易云音乐: com.netease.cloudmusic
爱奇艺: com.qiyi.video
优酷|优酷视频: com.youku.phone
"""
_ROWS = [line.split(": ") for line in _TABLE.strip().splitlines()]
_PACKAGES = {name.casefold(): tuple(packages.split()) for names, packages in _ROWS for name in names.split("|")}
_NAMES = {package: names.partition("|")[0] for names, packages in _ROWS for package in packages.split()}


def packages_of(app: str) -> tuple[str, ...]:
    """Those that may be the app of that name, the likeliest first; a package's own name is one, too."""
    name = app.strip()
    if known := _PACKAGES.get(name.casefold()):
        return known
    return (name,) if _PACKAGE.fullmatch(name) else ()


def name_of(package: str) -> str:
    """What people call it; where that is not known, the package."""
    return _NAMES.get(package, package)
