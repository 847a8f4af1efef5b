"""What the app says, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LANGUAGES = ("en", "zh")
TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # Keys, as the footer names them.
        "key.help": ("Keys", "按键"),
        "key.talk": ("Talk", "说话"),
        "key.room": ("Room", "房间"),
        "key.model": ("Model", "模型"),
        "key.attach": ("Attach", "附件"),
        "key.status": ("Status", "状态"),
        "key.devices": ("Devices", "设备"),
        "key.daemon": ("Daemon", "服务"),
        "key.theme": ("Light/dark", "亮/暗"),
        "key.new": ("New", "新建"),
        "key.list": ("List", "列表"),
        "key.leave": ("Quit", "退出"),
        "key.back": ("Back", "返回"),
        "key.rename": ("Rename", "改名"),
        "key.export": ("Export", "导出"),
        "key.delete": ("Delete", "删除"),
        "key.pair": ("Pair a device", "配对设备"),
        "key.revoke": ("Revoke", "撤销"),
        "key.mute": ("Mute", "静音"),
        # The keys' page.
        "help.title": ("Keys", "按键"),
        "help.send": ("send the message", "发送消息"),
        "help.newline": ("a new line in the message", "消息内换行"),
        "help.scroll": ("through what was said", "翻看说过的话"),
        "help.talk": ("begin to record, and again: ask", "开始录音，再按一次：提问"),
        "help.room": ("hands-free, by the daemon's own microphone", "免提：使用服务自己的麦克风"),
        "help.model": ("choose the model that answers", "选择回答的模型"),
        "help.attach": ("send a picture or a recording along", "随消息发送图片或录音"),
        "help.paste": ("paste text, or a picture or a file's path", "粘贴文字、图片或文件路径"),
        "help.status": ("what is on, and what left this daemon", "开启了什么、有什么离开过本机"),
        "help.devices": ("who is paired; pair or revoke", "已配对的设备；配对或撤销"),
        "help.daemon": ("talk to another daemon", "换一个服务"),
        "help.theme": ("light or dark", "亮色或暗色"),
        "help.new": ("begin a conversation", "开始新对话"),
        "help.list": ("to the conversations, or back", "到对话列表，或返回"),
        "help.back": ("stop the answer, leave a page", "停止回答，离开页面"),
        "help.in_list": ("in the list: rename, export, delete", "在列表中：改名、导出、删除"),
        "help.quit": ("leave", "退出"),
        # The line at the top.
        "top.here": ("this machine", "本机"),
        "top.connecting": ("connecting ...", "正在连接……"),
        "top.unreachable": ("not reachable", "无法连接"),
        "top.demo": ("{model} (demo size: not to be relied on)", "{model}（演示规模，不可依赖）"),
        "top.answering": ("answering", "正在回答"),
        "top.waiting": ("ready", "就绪"),
        "top.recording": ("RECORDING", "正在录音"),
        # Conversations.
        "list.placeholder": ("Search (Enter)", "搜索（回车）"),
        "list.empty": ("No conversation yet", "还没有对话"),
        "list.nothing": ("Nothing found", "没有找到"),
        "list.more": ("... more", "……更多"),
        "list.rename": ("Another title", "新标题"),
        "list.delete": ('Delete "{title}" for good?', "彻底删除“{title}”？"),
        "list.deleted": ("Deleted; nothing of it is left.", "已删除，没有任何残留。"),
        "list.export": ("Export to the file", "导出到文件"),
        "list.exported": ("Wrote {file}.", "已写入 {file}。"),
        # Chat.
        "chat.you": ("you", "你"),
        "chat.assistant": ("assistant", "助手"),
        "chat.system": ("system", "系统"),
        "chat.tool": ("tool", "工具"),
        "chat.called": ("[called {name} {arguments}]", "[调用 {name} {arguments}]"),
        "chat.thinking": ("thinking: {text}", "思考：{text}"),
        "chat.new": (
            "A new conversation begins with your next message.",
            "你的下一条消息将开始新的对话。",
        ),
        "chat.placeholder": ("Write here; Enter sends, Ctrl+J breaks the line", "在此输入；回车发送，Ctrl+J 换行"),
        "chat.earlier": ("Show {count} earlier messages", "显示更早的 {count} 条消息"),
        "chat.stopped": ("stopped", "已停止"),
        "chat.failed": ("broken off", "已中断"),
        "chat.cut_off": ("cut off: the longest answer or the end of the context", "被截断：达到最长回答或上下文上限"),
        "chat.measured": ("{tokens} tokens, {speed:.0f} a second", "{tokens} 个词元，每秒 {speed:.0f} 个"),
        "chat.trimmed": (
            "left out the {count} oldest messages: the context is full",
            "上下文已满：略去最早的 {count} 条消息",
        ),
        "chat.heard": ("heard: {text}", "听到：{text}"),
        "chat.nothing_heard": ("(nothing was understood)", "（没有听懂）"),
        "chat.busy": ("Stop the answer first (Esc).", "请先停止回答（Esc）。"),
        "chat.attachment": ("[{media_type}, {size}]", "[{media_type}，{size}]"),
        # Attachments.
        "attach.title": ("File of a picture or a recording", "图片或录音的文件"),
        "attach.waiting": (
            "Goes with your next message: {names} (Esc takes it back)",
            "将随下一条消息发送：{names}（Esc 取消）",
        ),
        "attach.clipboard": ("picture from the clipboard", "剪贴板中的图片"),
        # Voice.
        "voice.hint": ("RECORDING: F2 asks, Esc drops it", "正在录音：F2 提问，Esc 放弃"),
        "voice.interrupted": ("interrupted", "已打断"),
        "voice.emotion": ("said {emotion}", "语气：{emotion}"),
        "voice.volume": ("volume {percent} %", "音量 {percent} %"),
        "room.title": (
            "Room: the daemon's own microphone is open while this page is",
            "房间：本页打开时，服务自己的麦克风开启",
        ),
        "room.waiting": ("waiting for the wake phrase", "等待唤醒词"),
        "room.listening": ("listening ...", "正在听……"),
        "room.thinking": ("thinking ...", "正在思考……"),
        "room.speaking": ("speaking", "正在说话"),
        "room.muted": ("The microphone is muted.", "麦克风已静音。"),
        "room.unmuted": ("The microphone is not muted.", "麦克风未静音。"),
        "room.woken": ("heard {phrase}", "听到 {phrase}"),
        # Models.
        "model.title": ("Which model answers?", "由哪个模型回答？"),
        "model.default": ("{name} (default)", "{name}（默认）"),
        # Status.
        "status.title": ("Status and privacy", "状态与隐私"),
        "status.daemon": ("Daemon {version}: {state}, listening on {places}", "服务 {version}：{state}，监听 {places}"),
        "status.engine": (
            "Engine: {model} on {device}, context {context} tokens",
            "引擎：{model}，运行于 {device}，上下文 {context} 词元",
        ),
        "status.load": ("{active} answering, {queued} waiting", "{active} 个回答中，{queued} 个等待"),
        "status.store": (
            "Conversations: {conversations}, messages: {messages}, {size}",
            "对话：{conversations}，消息：{messages}，{size}",
        ),
        "status.encrypted": ("encrypted, key in {source}", "已加密，密钥在 {source}"),
        "status.not_encrypted": ("NOT encrypted", "未加密"),
        "status.microphone": ("Daemon's microphone: {state}", "服务的麦克风：{state}"),
        "status.deaf": ("Daemon's microphone: none", "服务的麦克风：无"),
        "status.on": ("on   {name}: {detail}", "开启 {name}：{detail}"),
        "status.off": ("OFF  {name}: {detail}", "关闭 {name}：{detail}"),
        "status.left": (
            "Sent to anybody but paired devices: nothing. Attempts refused: {refused}",
            "发往已配对设备以外的内容：无。被拒绝的尝试：{refused}",
        ),
        "status.unguarded": (
            "Sent to anybody but paired devices: not enforced, for something above is OFF. Attempts refused: {refused}",
            "发往已配对设备以外的内容：上面有保护已关闭，无法保证。被拒绝的尝试：{refused}",
        ),
        "status.content_log": (
            "CONTENT LOGGING IS ON: what is said goes to the daemon's log",
            "内容日志已开启：说的话会写入服务的日志",
        ),
        # Devices.
        "devices.title": ("Paired devices", "已配对的设备"),
        "devices.none": ("No device is paired.", "没有已配对的设备。"),
        "devices.row": ("{name}: may {scopes}; last seen {seen}", "{name}：可用 {scopes}；上次使用 {seen}"),
        "devices.never": ("never", "从未"),
        "devices.revoke": ("Revoke {name}? It is cut off at once.", "撤销 {name}？它会立刻断开。"),
        "devices.revoked": ("Revoked {name}.", "已撤销 {name}。"),
        "pair.title": (
            "Scan this with a phone in the same network, or type the code",
            "用同一网络中的手机扫描，或输入代码",
        ),
        "pair.code": ("Code: {code}, at {address}", "代码：{code}，地址 {address}"),
        "pair.link": ("Link: {link}", "链接：{link}"),
        "pair.fingerprint": ("Fingerprint: {fingerprint}", "指纹：{fingerprint}"),
        "pair.waiting": ("Waiting for a device; Esc leaves.", "等待设备；Esc 离开。"),
        "pair.compare": (
            "{name} ({address}) knows the code. Does it show {shown}?",
            "{name}（{address}）知道代码。它显示 {shown} 吗？",
        ),
        "pair.done": ("Let in: {name}.", "已允许：{name}。"),
        "pair.ended": ("Nobody was let in: {reason}", "没有允许任何设备：{reason}"),
        # The daemon is gone.
        "gone.title": ("The daemon is not reachable", "无法连接服务"),
        "gone.hint": (
            "Enter tries again, Ctrl+O takes another daemon, Ctrl+Q leaves.",
            "回车重试，Ctrl+O 换一个服务，Ctrl+Q 退出。",
        ),
        "daemon.title": ("Which daemon?", "哪个服务？"),
        # Dialogs.
        "dialog.line": ("Enter accepts, Esc cancels", "回车确认，Esc 取消"),
        "dialog.confirm": ("y: yes   n: no", "y：是   n：否"),
    }
)
"""English, Chinese."""


class Texts:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        """language: one of LANGUAGES."""
        self._column = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        """A text with its blanks filled in."""
        return TEXTS[key][self._column].format(**values)


def language_of(environ: Mapping[str, str]) -> str:
    """The language that the locale asks for; English where it is neither."""
    asked = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "zh" if asked.lower().startswith("zh") else "en"
