"""What the headers of a request say, and what every response carries."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from edged.errors import InvalidInput, PermissionDenied

_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "media-src 'self' blob:",
    "connect-src 'self'",  # the WebSocket of the same host too, in browsers from 2022 on
    "worker-src 'self'",
    "manifest-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
)
_WANTED = ("autoplay", "camera", "clipboard-write", "microphone", "screen-wake-lock")
_UNWANTED = (
    "accelerometer",
    "browsing-topics",
    "clipboard-read",
    "display-capture",
    "encrypted-media",
    "geolocation",
    "gyroscope",
    "hid",
    "idle-detection",
    "local-fonts",
    "magnetometer",
    "midi",
    "payment",
    "picture-in-picture",
    "publickey-credentials-get",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
_PERMISSIONS = ", ".join([*(f"{name}=(self)" for name in _WANTED), *(f"{name}=()" for name in _UNWANTED)])
SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", "; ".join(_POLICY).encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", _PERMISSIONS.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Of every response. No Strict-Transport-Security: it would take the warning away that people accept a self-made
certificate by."""
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?")


def server_host(headers: Headers) -> str:
    """The name or IP address by which the client reached this machine. Raises InvalidInput."""
    match = _HOST.fullmatch(headers.get("host", ""))
    if match is None:
        raise InvalidInput("the header Host must be a name or an IP address, and a port", field="host")
    return match["v6"] or match["name"]


def require_same_origin(headers: Headers) -> None:
    """Raises PermissionDenied where the page of another site makes the call."""
    own = f"https://{headers.get('host', '')}".lower()
    if any(origin.lower() != own for origin in headers.getlist("origin")):
        raise PermissionDenied("pages of other sites may not call this daemon: open its own page")
