"""The page of paired devices, for those who may manage them, and the page that lets one in."""

from __future__ import annotations

from contextlib import aclosing

from rich.text import Text as StyledText
from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from clients.desktop.dialogs import ConfirmDialog
from clients.desktop.page import Page
from edged.cli.output import local_time, printable
from edged.cli.qr_code import qr_lines
from edged.errors import EdgedError, MissingExtra
from edged.records import Device, PairingEnd, PairingOffer


class DevicesPage(Page):
    """By name; the highlighted one can be revoked."""

    DEFAULT_CSS = "DevicesPage Static { padding: 0 1; } DevicesPage OptionList { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._devices: tuple[Device, ...] = ()

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        yield Static(self.texts("devices.title"), markup=False)
        yield OptionList(markup=False)
        yield from self.footer()

    def on_mount(self) -> None:
        """Part of Textual's contract."""
        self.query_one(OptionList).focus()

    def on_screen_resume(self) -> None:
        """First, and after a device was let in."""
        self._list()

    def action_pair(self) -> None:
        """Let one in."""
        self.app.push_screen(PairingPage())

    @work
    async def action_revoke(self) -> None:
        """Forget the highlighted one."""
        number = self.query_one(OptionList).highlighted
        if number is None or number >= len(self._devices):
            return
        device = self._devices[number]
        question = self.texts("devices.revoke", name=printable(device.name))
        if not await self.app.push_screen_wait(ConfirmDialog(self.texts, question)):
            return
        try:
            await self.client.devices.revoke(device.id)
        except EdgedError as exc:
            self.desktop.show_error(exc)
            return
        self.notify(self.texts("devices.revoked", name=printable(device.name)), markup=False)
        self._list()  # the page came back before the device was gone

    @work(group="list", exclusive=True)
    async def _list(self) -> None:
        try:
            self._devices = await self.client.devices.list()
        except EdgedError as exc:
            self.dismiss()
            self.desktop.show_error(exc)
            return
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(self._row(device)) for device in self._devices)
        if not self._devices:
            options.add_option(Option(self.texts("devices.none"), disabled=True))

    def _row(self, device: Device) -> str:
        seen = local_time(device.last_seen_at) if device.last_seen_at else self.texts("devices.never")
        scopes = ", ".join(sorted(device.scopes))
        return printable(self.texts("devices.row", name=device.name, scopes=scopes, seen=seen))


class PairingPage(Page):
    """Code, link and QR code, until a device is let in or two minutes are over."""

    DEFAULT_CSS = "PairingPage Static { padding: 0 1; }"

    def compose(self) -> ComposeResult:
        """Part of Textual's contract."""
        with VerticalScroll():
            yield Static(self.texts("pair.title"), markup=False)
            yield Static(id="offer", markup=False)
            yield Static(id="picture", markup=False)
        yield Static(self.texts("pair.waiting"), markup=False)
        yield from self.footer()

    def on_mount(self) -> None:
        """Part of Textual's contract."""
        self.query_one(VerticalScroll).focus()
        self._pair()

    @work
    async def _pair(self) -> None:
        try:
            offer = await self.client.devices.open_pairing()
            self._show(offer)
            end = await self._follow(offer)
        except EdgedError as exc:
            self.desktop.show_error(exc)
        else:
            if end.device:
                self.app.notify(printable(self.texts("pair.done", name=end.device.name)), markup=False)
            else:
                self.app.notify(printable(self.texts("pair.ended", reason=end.reason)), markup=False)
        self.dismiss()

    async def _follow(self, offer: PairingOffer) -> PairingEnd:
        """Ask about each device that knows the code. Raises what `DeviceCalls.watch_pairing` raises."""
        async with aclosing(self.client.devices.watch_pairing(offer.pairing_id, closes=True)) as events:
            async for event in events:
                if isinstance(event, PairingEnd):
                    return event
                question = self.texts(
                    "pair.compare", name=event.device_name, address=event.address, shown=event.short_string
                )
                is_the_one = await self.app.push_screen_wait(ConfirmDialog(self.texts, printable(question)))
                await self.client.devices.confirm_pairing(offer.pairing_id, event.short_string, is_the_one=is_the_one)
        return PairingEnd(device=None, reason="")

    def _show(self, offer: PairingOffer) -> None:
        lines = (
            self.texts("pair.code", code=f"{offer.code[:3]} {offer.code[3:]}", address=", ".join(offer.addresses)),
            self.texts("pair.fingerprint", fingerprint=offer.fingerprint),
            self.texts("pair.link", link=offer.link),
        )
        self.query_one("#offer", Static).update(printable("\n".join(lines)))
        try:
            picture: StyledText | str = StyledText.from_ansi("\n".join(qr_lines(offer.link)))
        except MissingExtra as exc:
            picture = exc.message
        self.query_one("#picture", Static).update(picture)
