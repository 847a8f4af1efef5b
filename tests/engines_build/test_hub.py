"""The hub's answers, down to their bytes: a hostile one, or whoever sits between, gets neither memory nor secrets."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from edged.errors import EdgedError, InvalidInput, Unavailable
from engines import hub
from engines.hub import RemoteFile, Repository

COMMIT = "0" * 40
REPOSITORY = Repository(name="a/b", commit=COMMIT, license="MIT", gated=False, files=())
FILE = RemoteFile(name="x.safetensors", bytes=1000, sha256="0" * 64, blob_id=None)
LISTING = b'{"sha": "%s", "siblings": [{"rfilename": "x", "size": 1}]}' % COMMIT.encode()
Answer = Callable[[httpx2.Request], httpx2.Response]


class Body(httpx2.SyncByteStream):
    """As it comes from a socket; None must not be read."""

    def __init__(self, content: bytes | None = None) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        assert self.content is not None, "the body of a redirect was read"
        yield self.content


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Have https://hub.example answer as given; nobody waits before trying again."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent")
    monkeypatch.setattr(hub, "ENDPOINT", "https://hub.example")
    monkeypatch.setattr(hub, "WAITS_SECONDS", ())

    def answer_with(answer: Answer) -> None:
        client = httpx2.Client(transport=httpx2.MockTransport(answer), follow_redirects=True)
        monkeypatch.setattr(hub, "get_session", lambda: client)

    return answer_with


def test_what_is_compressed_is_not_unpacked(answering: Callable[[Answer], None], tmp_path: Path) -> None:
    """A body of zeros shrinks a thousandfold: unpacked, each piece of it would take a thousand times its memory."""
    bomb = gzip.compress(bytes(hub.MAX_LISTING_BYTES + 1))
    answering(lambda request: httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=Body(bomb)))
    with pytest.raises(Unavailable, match="something else than a hub"):
        hub.describe("a/b", "main")
    bomb = gzip.compress(bytes(100_000))
    with pytest.raises(Unavailable, match=f"ended after {len(bomb)} of 1000 bytes"):
        hub.download(REPOSITORY, FILE, tmp_path / "part", lambda size: None)


def test_a_redirect_is_followed_without_its_body(answering: Callable[[Answer], None]) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.startswith("/renamed"):
            return httpx2.Response(200, stream=Body(LISTING))
        return httpx2.Response(307, headers={"Location": "/renamed"}, stream=Body())

    answering(answer)
    assert hub.describe("a/b", "main").commit == COMMIT


def test_a_redirect_that_leads_out_of_https_or_round_in_circles_is_refused(
    answering: Callable[[Answer], None],
) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(302, headers={"Location": target}, stream=Body())

    answering(answer)
    target = "http://hub.example/plain"
    with pytest.raises(Unavailable, match="redirects to an address without encryption"):
        hub.describe("a/b", "main")
    assert len(asked) == 1, "the plain address was asked"
    target = "/again"
    with pytest.raises(Unavailable, match="redirects more than 5 times"):
        hub.describe("a/b", "main")


def test_the_token_goes_to_the_hub_alone(
    answering: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same name with another scheme or port, or a name that only begins the same, is another host."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for storage in ("https://hub.example:444/x", "https://hub.example.evil/x", "https://me:pw@cdn.example/x"):
        got: dict[str, str] = {}

        def answer(request: httpx2.Request, got: dict[str, str] = got, storage: str = storage) -> httpx2.Response:
            got[request.url.netloc.decode()] = request.headers.get("Authorization", "")
            if request.url.path != "/x":
                return httpx2.Response(302, headers={"Location": storage})
            return httpx2.Response(200, stream=Body(bytes(1000)))

        answering(answer)
        (tmp_path / "part").unlink(missing_ok=True)
        hub.download(REPOSITORY, FILE, tmp_path / "part", lambda size: None)
        assert len(got) == 2 and [value for value in got.values() if "hf_secret" in value] == ["Bearer hf_secret"]
        assert got["hub.example"] == "Bearer hf_secret"


def test_a_token_that_cannot_be_sent_is_not_quoted(
    answering: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.LocalProtocolError(f"Illegal header value {request.headers['Authorization']!r}")

    answering(answer)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(InvalidInput) as caught:
        hub.describe("a/b", "main")
    assert caught.value.message == "HF_TOKEN cannot be sent: it holds characters that no token has"


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("https://me:pa55word@hub.example/x", "https://hub.example/x"),
        ("http://me:pa55@word@127.0.0.1:9", "http://127.0.0.1:9"),
        ("me:pa55word@hub.example", "hub.example"),
        ("https://hub.example/a@b", "https://hub.example/a@b"),
    ],
)
def test_a_password_in_the_address_is_never_shown(
    endpoint: str, shown: str, answering: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("gone")

    cases: list[Answer] = [lambda request, code=code: httpx2.Response(code) for code in (401, 403, 404, 429, 500)]
    for answer in (*cases, lambda request: httpx2.Response(200, stream=Body(b"?")), fail):
        answering(answer)
        monkeypatch.setattr(hub, "ENDPOINT", endpoint)
        with pytest.raises(EdgedError) as caught:
            hub.describe("a/b", "main")
        assert "pa55" not in caught.value.message and shown in caught.value.message
    assert REPOSITORY.page == f"{shown}/a/b" and "pa55" not in hub.gated("a/b").message


def test_a_file_that_the_hub_gives_no_hash_of_is_not_taken_on_trust(
    answering: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(lambda request: httpx2.Response(200, stream=Body(LISTING)))
    repository = hub.describe("a/b", "main")
    for etag in (None, "abc"):
        found = SimpleNamespace(size=1, etag=etag)
        monkeypatch.setattr(hub, "get_hf_file_metadata", lambda *_, found=found, **__: found)
        with pytest.raises(Unavailable, match="does not say what size and hash x has"):
            hub.described(repository, repository.files[0])
