"""A model hub on loopback: the requests of the real one that `pull` makes, and the accidents that happen to them.

As the real hub does it: weights are in large-file storage, their address redirects to another host (here another
port), and everything else is answered directly with git's hash as its ETag.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".gguf", "tokenizer.json")


@dataclass
class Repo:
    """What one repository holds, and how it is to be served."""

    files: dict[str, bytes]
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    card: dict[str, object] = field(default_factory=lambda: {"license": "apache-2.0"})
    gated: object = False
    token: str = ""
    """Needed for files of a gated repository."""
    listed_names: list[str] = field(default_factory=list)
    """Names in the listing that no file has."""
    says_sizes: bool = True
    """False: a mirror that leaves sizes and hashes out of its listing."""


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    range: str
    authorized: bool


@dataclass
class Hub:
    """The server's state, which tests write and read."""

    repos: dict[str, Repo]
    address: str = ""
    storage: str = ""
    """The other host, which gets no tokens."""
    seen: list[Seen] = field(default_factory=list)
    break_off: dict[str, list[int]] = field(default_factory=dict)
    """By file: after how many bytes of the body the next answers break off."""
    stall: dict[str, int] = field(default_factory=dict)
    """By file: after how many bytes nothing more comes until `released`."""
    spoilt: dict[str, bytes] = field(default_factory=dict)
    """By file: what is served instead of its content."""
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """By file, or "api": the next statuses."""
    ignores_ranges: bool = False
    names_ranges: bool = True
    """False: a mirror that answers a range without saying which."""
    listing: bytes | None = None
    """Served as the description of any repository."""
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def ranges(self, name: str) -> list[str]:
        """The Range headers of GETs of a file's bytes, empty ones for whole files."""
        return [seen.range for seen in self.seen if seen.method == "GET" and seen.path.endswith(f"/{name}")]


@contextmanager
def serving(**repos: Repo) -> Iterator[Hub]:
    """A hub with these repositories, a double underscore in a name standing for the slash."""
    hub = Hub({name.replace("__", "/"): repo for name, repo in repos.items()})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub})) for _ in range(2)]
    hub.address, hub.storage = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def blob_id(data: bytes) -> str:
    """git's name for a content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client had enough
            super().handle()

    def log_message(self, *arguments: object) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        authorization = self.headers.get("Authorization", "")
        self.hub.seen.append(Seen(self.command, path, self.headers.get("Range", ""), bool(authorization)))
        match path.split("/")[1:]:
            case ["api", "models", owner, name, "revision", *revision]:
                self._describe(f"{owner}/{name}", "/".join(revision))
            case ["storage", owner, name, *file]:
                self._content(self.hub.repos[f"{owner}/{name}"], "/".join(file))
            case [owner, name, "resolve", revision, *file]:
                self._resolve(f"{owner}/{name}", revision, "/".join(file), authorization)
            case _:
                self._refuse(404)

    def _describe(self, name: str, revision: str) -> None:
        if self.hub.statuses.get("api"):
            return self._refuse(self.hub.statuses["api"].pop(0))
        repo = self.hub.repos.get(name)
        if self.hub.listing is not None:
            return self._send(200, self.hub.listing, {"Content-Type": "application/json"})
        if repo is None:
            return self._refuse(401, "RepoNotFound")  # as the real one hides private repositories
        if revision not in ("main", repo.commit, "refs/pr/1"):
            return self._refuse(404, "RevisionNotFound")
        siblings = [_sibling(file, data, repo.says_sizes) for file, data in repo.files.items()]
        siblings += [{"rfilename": file, "size": 1, "blobId": blob_id(b"x")} for file in repo.listed_names]
        document = {"id": name, "sha": repo.commit, "siblings": siblings, "cardData": repo.card, "gated": repo.gated}
        return self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, file: str, authorization: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None or file not in repo.files or revision not in ("main", repo.commit):
            return self._refuse(404, "EntryNotFound" if repo else "RepoNotFound")
        if repo.gated and authorization != f"Bearer {repo.token}":
            return self._refuse(403 if authorization else 401, "GatedRepo")
        if not file.endswith(LARGE):
            return self._content(repo, file, repo.commit)
        data = repo.files[file]
        headers = {
            "Location": f"{self.hub.storage}/storage/{name}/{file}",
            "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Linked-Size": str(len(data)),
            "X-Repo-Commit": repo.commit,
        }
        return self._send(302, b"", headers)

    def _content(self, repo: Repo, file: str, commit: str = "") -> None:
        """The bytes, as far as the accidents let them come."""
        if self.hub.statuses.get(file):
            return self._refuse(self.hub.statuses[file].pop(0))
        is_head = self.command == "HEAD"
        data = repo.files[file] if is_head else self.hub.spoilt.get(file, repo.files[file])
        begin = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        start = int(begin) if begin and not self.hub.ignores_ranges else 0
        if start and start >= len(data):
            return self._refuse(416)
        headers = {"ETag": f'"{blob_id(data)}"', "X-Repo-Commit": commit} if commit else {}
        if start and self.hub.names_ranges:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        limits = self.hub.break_off.get(file)
        limit = limits.pop(0) if limits and not is_head else self.hub.stall.get(file)
        return self._send(206 if start else 200, data[start:], headers, limit, stalls=file in self.hub.stall)

    def _refuse(self, status: int, code: str = "") -> None:
        self._send(status, b'{"error": "no"}', {"X-Error-Code": code} if code else {})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], limit: int | None = None, *, stalls: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:limit])
        if limit is not None:
            self.wfile.flush()
            self.close_connection = True
            if stalls:
                self.hub.stalled.set()
                self.hub.released.wait(60)


def _sibling(name: str, data: bytes, says_sizes: bool) -> dict[str, object]:
    if not says_sizes:
        return {"rfilename": name}
    entry: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob_id(data)}
    if name.endswith(LARGE):
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
