"""The phone app's files, the CA's certificate, and what every response says to browsers."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from edged.server.web.pages import app_pages
from tests.server.web.web_daemon import INDEX, SCRIPT, WebDaemon

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize(
    ("path", "media_type", "content"),
    [
        ("/", "text/html; charset=utf-8", INDEX),
        ("/index.html", "text/html; charset=utf-8", INDEX),
        ("/assets/app-Bx3.js", "text/javascript; charset=utf-8", SCRIPT),
        ("/manifest.webmanifest", "application/manifest+json", b"{}"),
        ("/icon.png", "image/png", b"\x89PNG"),
        ("/icon.png?v=2", "image/png", b"\x89PNG"),
    ],
)
async def test_files(web: WebDaemon, path: str, media_type: str, content: bytes) -> None:
    answer = await web.get(path)
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, media_type, content)
    is_hashed = path.startswith("/assets/")
    assert answer.headers["cache-control"] == ("public, max-age=31536000, immutable" if is_hashed else "no-cache")
    again = await web.get(path, f"If-None-Match: {answer.headers['etag']}")
    assert (again.status, again.body) == (304, b"")
    head = await web.get(path, method="HEAD")
    assert (head.status, head.body, head.headers) == (200, b"", answer.headers | {"date": head.headers["date"]})


async def test_text_is_compressed_where_it_is_smaller(web: WebDaemon) -> None:
    for accept in ("Accept-Encoding: gzip, deflate, br", "Accept-Encoding: br;q=1.0, GZIP;q=0.5"):
        answer = await web.get("/", accept)
        assert answer.headers["content-encoding"] == "gzip" and answer.headers["vary"] == "accept-encoding"
        assert gzip.decompress(answer.body) == INDEX
        assert (await web.get("/", accept, f"If-None-Match: {answer.headers['etag']}")).status == 304
        assert (await web.get("/", f"If-None-Match: {answer.headers['etag']}")).status == 200
    for path, accept in (("/", "gzip;q=0"), ("/", "br"), ("/icon.png", "gzip"), ("/manifest.webmanifest", "gzip")):
        assert "content-encoding" not in (await web.get(path, f"Accept-Encoding: {accept}")).headers


async def test_certificate_of_the_ca(web: WebDaemon) -> None:
    answer = await web.get("/ca.crt")
    assert answer.body == web.authority.certificate
    assert answer.headers["content-type"] == "application/x-x509-ca-cert"
    assert answer.headers["content-disposition"] == 'attachment; filename="edged-ca.crt"'


@pytest.mark.parametrize(
    "path",
    [
        "/notes.unknown",
        "/assets",
        "/assets/",
        "/assets/../index.html",
        "/../../trust/ca.key",
        "/..%2f..%2ftrust/ca.key",
        "/assets/%2e%2e/%2e%2e/trust/server.key",
        "//etc/passwd",
        "/etc/passwd%00.html",
        "/%c0%ae%c0%ae/",
        "/<script>alert(1)</script>",
        "https://127.0.0.1/index.html",
        "*",
        "/healthz",
        "/edged.v1.ModelService/",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Health/Check",
    ],
)
async def test_nothing_else(web: WebDaemon, path: str) -> None:
    answer = await web.get(path)
    assert (answer.status, answer.body) == (404, b"not found")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_pages_take_no_other_method(web: WebDaemon) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
        answer = await web.get("/", method=method)
        assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD"


async def test_every_response_says_what_browsers_may_do(web: WebDaemon) -> None:
    answers = [
        await web.get("/"),
        await web.get("/", method="HEAD"),
        await web.get("/ca.crt"),
        await web.get("/missing"),
        await web.get("/", method="POST"),
        await web.post("ModelService/ListModels", b"", "application/proto"),
        await web.post("ModelService/ListModels", b"", "application/proto", token=""),
        await web.post("ModelService/ListModels", b"", "application/grpc-web"),
        await web.post("ModelService/ListModels", b"", "text/plain"),
        await web.post("ModelService/ListModels", b"", "application/proto", "Origin: https://evil.example"),
        await web.post("StatusService/GetStatus", b"", "application/proto"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 404, 405, 200, 401, 200, 415, 403, 500]
    for answer in answers:
        assert answer.headers.items() >= EVERYWHERE.items()
        policy = answer.headers["content-security-policy"].split("; ")
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in str(policy)
        assert "microphone=(self)" in answer.headers["permissions-policy"]
        assert "geolocation=()" in answer.headers["permissions-policy"]
        assert "server" not in answer.headers and "strict-transport-security" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def test_app_that_is_not_built_says_so(tmp_path: Path) -> None:
    assert list(app_pages(tmp_path)) == ["/"]
