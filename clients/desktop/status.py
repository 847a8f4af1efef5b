"""The page that says what the daemon does and enforces, and what left it."""

from __future__ import annotations

from collections.abc import Iterator

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from clients.desktop.page import Page
from clients.desktop.strings import Texts
from edged.cli.output import human_bytes, printable
from edged.errors import EdgedError
from edged.records import DaemonStatus

REFRESH_SECONDS = 2.0


class StatusPage(Page):
    """Brought up to date every two seconds."""

    DEFAULT_CSS = "StatusPage Static { padding: 0 1; }"

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        yield Static(f"{self.texts('status.title')}: {self.desktop.daemon_name}", markup=False)
        with VerticalScroll():
            yield Static(id="report", markup=False)
        yield from self.footer()

    def on_mount(self) -> None:
        """Part of Textual's contract."""
        self.query_one(VerticalScroll).focus()
        self._ask()
        self.set_interval(REFRESH_SECONDS, self._ask)

    @work(exclusive=True)
    async def _ask(self) -> None:
        try:
            report = await self.client.status()
        except EdgedError as exc:
            self.desktop.show_error(exc)
            return
        self.query_one("#report", Static).update("\n".join(map(printable, _lines(report, self.texts))))


def _lines(report: DaemonStatus, texts: Texts) -> Iterator[str]:
    engine, store, privacy = report.engine, report.store, report.privacy
    places = ", ".join(report.listening_on)
    yield texts("status.daemon", version=report.version, state=report.state.value, places=places)
    yield texts("status.engine", model=engine.model, device=engine.device, context=engine.context_length)
    yield texts("status.load", active=engine.active_requests, queued=engine.queued_requests)
    size = human_bytes(store.database_bytes)
    yield texts("status.store", conversations=store.conversations, messages=store.messages, size=size)
    yield texts("status.encrypted", source=store.key_source) if store.encrypted else texts("status.not_encrypted")
    if report.voice:
        yield texts("status.microphone", state=report.voice.microphone.value)
        if report.voice.obstacle:
            yield report.voice.obstacle
    else:
        yield texts("status.deaf")
    yield ""
    for control in privacy.enforcements:
        yield texts("status.on" if control.active else "status.off", name=control.name, detail=control.detail)
    is_guarded = bool(privacy.enforcements) and all(control.active for control in privacy.enforcements)
    yield texts("status.left" if is_guarded else "status.unguarded", refused=privacy.refused_connections)
    if privacy.content_logging:
        yield texts("status.content_log")
