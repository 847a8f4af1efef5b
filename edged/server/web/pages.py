"""Files that everybody may fetch: the phone app, and the certificate of the CA.

They are read once and lie in memory, so no path that a client names ever reaches the disk.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PHONE = Path(__file__).parent / "phone"
"""The app as it was built from clients/phone."""
CA_CERTIFICATE = "/ca.crt"
IMMUTABLE = "/assets/"
"""Below it, files with other contents have other names."""
TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css",
        ".html": "text/html",
        ".ico": "image/vnd.microsoft.icon",
        ".js": "text/javascript",
        ".json": "application/json",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".txt": "text/plain",
        ".webmanifest": "application/manifest+json",
    }
)
"""What is served, by the end of its name."""
_COMPRESSED = frozenset({".css", ".html", ".js", ".json", ".svg", ".txt", ".webmanifest"})
_MISSING = (
    b"<!doctype html><title>edged</title><p>The phone app is not built: run `npm run build` in clients/phone.</p>"
)


class Page:
    """An ASGI application that serves one file, and what must be asked for it again."""

    def __init__(self, content: bytes, media_type: str, *, is_immutable: bool = False, is_compressed: bool = False):
        self._content = content
        # It is kept only where it is worth it.
        packed = gzip.compress(content, mtime=0) if is_compressed else content
        self._packed = packed if len(packed) < len(content) else None
        self._media_type = media_type
        self._headers = {
            "cache-control": "public, max-age=31536000, immutable" if is_immutable else "no-cache",
            "vary": "accept-encoding",
        }
        self._tag = hashlib.sha256(content).hexdigest()[:32]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD."""
        headers = Headers(scope=scope)
        is_packed = self._packed is not None and _takes_gzip(headers)
        tag = f'"{self._tag}-gzip"' if is_packed else f'"{self._tag}"'
        own = self._headers | {"etag": tag}
        if tag in (known.strip().removeprefix("W/") for known in headers.get("if-none-match", "").split(",")):
            response = Response(status_code=304, headers=own)
        elif is_packed:
            response = Response(self._packed, headers=own | {"content-encoding": "gzip"}, media_type=self._media_type)
        else:
            response = Response(self._content, headers=own, media_type=self._media_type)
        await response(scope, receive, send)


def app_pages(folder: Path = PHONE) -> dict[str, Page]:
    """The files of an app by their paths, "/" for its index.html."""
    pages = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix in TYPES and file.is_file():
            path = "/" + file.relative_to(folder).as_posix()
            pages[path] = Page(
                file.read_bytes(),
                TYPES[file.suffix],
                is_immutable=path.startswith(IMMUTABLE),
                is_compressed=file.suffix in _COMPRESSED,
            )
    pages["/"] = pages.get("/index.html") or Page(_MISSING, "text/html")
    return pages


class CertificatePage:
    """Serves the CA's certificate as devices take it for installation."""

    def __init__(self, certificate: bytes) -> None:
        """certificate: in DER."""
        self._certificate = certificate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD."""
        headers = {"cache-control": "no-cache", "content-disposition": 'attachment; filename="edged-ca.crt"'}
        response = Response(self._certificate, headers=headers, media_type="application/x-x509-ca-cert")
        await response(scope, receive, send)


def _takes_gzip(headers: Headers) -> bool:
    for coding in headers.get("accept-encoding", "").split(","):
        name, _, weight = coding.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
