"""The model hub over HTTP: what a repository holds, and the bytes of a file. Nothing else here opens a connection.

`huggingface_hub` supplies the session (proxies, HF_HUB_OFFLINE), the token and the addresses (HF_ENDPOINT).
Its own downloads begin again from nothing after an interruption (2.x), so bytes are fetched here, with
Range requests: plain HTTP, which every mirror speaks, and no Xet.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read when the library is imported

import edged
from edged.errors import CheckpointError, EdgedError, InvalidInput, NotFound, Unavailable

from .checkpoint.text_file import one_line

try:
    import httpx2
    from huggingface_hub import constants, get_hf_file_metadata, get_session, get_token, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
except ValueError as exc:  # the library takes the variable apart when it is imported
    raise InvalidInput(f"HF_ENDPOINT is no address: {exc}") from exc

ENDPOINT: str = constants.ENDPOINT
"""HF_ENDPOINT, or the public hub."""
MAX_LISTING_BYTES = 16 * 1024 * 1024
"""About 60,000 files; the listing of a model has tens."""
MAX_FILE_BYTES = 2**44
MAX_REDIRECTS = 5
TIMEOUT_SECONDS = 20.0
"""Without a byte."""
WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""Before the next attempt when an attempt brought nothing."""

_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CREDENTIALS = re.compile(r"^(\w+://)?[^/]*@")


def address() -> str:
    """The hub as people may see it: HF_ENDPOINT without the name and password that it may hold."""
    return _CREDENTIALS.sub(r"\1", ENDPOINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file of a repository, as the hub describes it."""

    name: str
    """Relative, with forward slashes, inside the repository."""
    bytes: int | None
    """None where a mirror does not say; `described` asks for it."""
    sha256: str | None
    """Of files in large-file storage, which all weights are."""
    blob_id: str | None
    """Of all others: git's SHA-1 of the content and its length."""

    @property
    def base_name(self) -> str:
        """Without the folders before it."""
        return self.name.rpartition("/")[2]

    @property
    def size(self) -> int:
        """In bytes, of a file that is described."""
        assert self.bytes is not None
        return self.bytes

    @property
    def digest(self) -> str:
        """Whatever the hub says of the content; empty when it says nothing."""
        return self.sha256 or self.blob_id or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A model at one commit."""

    name: str
    """OWNER/NAME."""
    commit: str
    license: str
    """As the model card says it; "unknown" where it says nothing."""
    gated: bool
    """Its licence must be accepted on the hub's pages before files are handed out."""
    files: tuple[RemoteFile, ...]

    @property
    def page(self) -> str:
        """Where people read about it."""
        return f"{address()}/{self.name}"


def describe(repository: str, revision: str) -> Repository:
    """What the repository holds at a branch, tag or commit.

    Source: https://huggingface.co/docs/hub/api, `GET /api/models/{repo}/revision/{revision}?blobs=true`.
    Raises NotFound, InvalidInput (gated, private, offline) or Unavailable, each in one line.
    """
    url = f"{ENDPOINT}/api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"
    data = bytearray()
    with _get(url, repository) as response:
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > MAX_LISTING_BYTES:
                raise CheckpointError(f"{repository}: its list of files is larger than {MAX_LISTING_BYTES} bytes")
    try:
        return _repository(repository, json.loads(data))
    except (ValueError, RecursionError) as exc:
        raise Unavailable(f"{address()} answers something else than a hub does: check HF_ENDPOINT") from exc


def described(repository: Repository, file: RemoteFile) -> RemoteFile:
    """The file with its size and hash, asked for one by one where a mirror's listing leaves them out."""
    if file.bytes is not None and file.digest:
        return file
    url = hf_hub_url(repository.name, file.name, revision=repository.commit, endpoint=ENDPOINT)
    with _clear_errors(repository.name):
        metadata = get_hf_file_metadata(url, timeout=TIMEOUT_SECONDS, library_name="edged")
    etag = metadata.etag or ""
    found = replace(file, bytes=metadata.size, sha256=_matching(_SHA256, etag), blob_id=_matching(_SHA1, etag))
    if not _is_size(found.bytes) or not found.digest:
        raise Unavailable(f"{address()} does not say what size and hash {file.name} has: check HF_ENDPOINT")
    return found


def download(repository: Repository, file: RemoteFile, part: Path, progress: Callable[[int], object]) -> None:
    """Complete `part`, which may hold the beginning of the file; a connection that breaks off is taken up again.

    `progress` is told bytes, negative ones when the server made us begin again. Raises as `describe` does.
    """
    waits = iter(WAITS_SECONDS)
    while (before := part.stat().st_size if part.exists() else 0) < file.size or not part.exists():
        try:
            _append(repository, file, part, progress)
        except Unavailable:
            if part.exists() and part.stat().st_size > before:
                waits = iter(WAITS_SECONDS)
            if (seconds := next(waits, None)) is None:
                raise
            time.sleep(seconds)


def _append(repository: Repository, file: RemoteFile, part: Path, progress: Callable[[int], object]) -> None:
    url = hf_hub_url(repository.name, file.name, revision=repository.commit, endpoint=ENDPOINT)
    with part.open("ab") as out:
        have = out.tell()
        if file.size == 0:
            return
        with _get(url, repository.name, start=have) as response:
            if have and not _continues(response, have):
                out.truncate(0)
                progress(-have)
                have = 0
            for chunk in response.iter_raw():
                have += len(chunk)
                if have > file.size:
                    raise CheckpointError(f"{file.name}: the server sends more than the {file.size} bytes it announced")
                out.write(chunk)
                progress(len(chunk))
        if have < file.size:
            raise Unavailable(f"{file.name}: ended after {have} of {file.size} bytes")


def _continues(response: httpx2.Response, start: int) -> bool:
    """Whether a server took up the file where asked to; some know no ranges, some mirrors leave the header out."""
    beginning = f"bytes {start}-"
    return response.status_code == 206 and response.headers.get("Content-Range", beginning).startswith(beginning)


@contextmanager
def _get(url: str, repository: str, start: int = 0) -> Iterator[httpx2.Response]:
    """The answer to a GET, its body still to be read, as it was sent: a few compressed bytes may stand for gigabytes.

    A redirect to another host does not get the token.
    """
    headers = {"User-Agent": f"edged/{edged.__version__}", "Accept-Encoding": "identity"}
    if (token := _token()) is not None:
        headers["Authorization"] = f"Bearer {token}"
    if start:
        headers["Range"] = f"bytes={start}-"
    with _clear_errors(repository):
        request = get_session().build_request("GET", url, headers=headers, timeout=TIMEOUT_SECONDS)
        response = _followed(request)
        try:
            if not response.is_success:
                raise _refusal(response, repository)
            yield response
        finally:
            response.close()


def _followed(request: httpx2.Request) -> httpx2.Response:
    """Where redirects lead to. Their bodies, which may be endless, are not read, and none leads out of https."""
    for _ in range(MAX_REDIRECTS):
        response = get_session().send(request, stream=True, follow_redirects=False)
        if response.next_request is None:
            return response
        response.close()
        if request.url.scheme == "https" != response.next_request.url.scheme:
            raise Unavailable(f"{address()} redirects to an address without encryption: not followed")
        request = response.next_request
    raise Unavailable(f"{address()} redirects more than {MAX_REDIRECTS} times: check HF_ENDPOINT")


@contextmanager
def _clear_errors(repository: str) -> Iterator[None]:
    """Whatever goes wrong between here and the hub, in one line that says what to do next."""
    try:
        yield
    except OfflineModeIsEnabled as exc:
        raise InvalidInput(
            "HF_HUB_OFFLINE forbids the network: unset it, or build from a GGUF file or folder that you carry here"
        ) from exc
    except HfHubHTTPError as exc:
        raise _refusal(exc.response, repository) from exc
    except httpx2.TimeoutException as exc:
        raise Unavailable(f"{address()} does not answer: try again later; what has come is kept") from exc
    except (httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as exc:
        raise Unavailable(
            f"{address()} cannot be reached ({one_line(str(exc))[:100]}): check the network and HF_ENDPOINT, "
            "or carry a GGUF file or folder here"
        ) from exc
    except httpx2.LocalProtocolError as exc:  # which quotes the header, and so the token
        raise InvalidInput("HF_TOKEN cannot be sent: it holds characters that no token has") from exc
    except (ValueError, ImportError) as exc:  # of settings that cannot be sent, or need what is not installed
        raise InvalidInput(f"HF_ENDPOINT, HF_TOKEN or a proxy variable cannot be used: {one_line(str(exc))}") from exc
    except httpx2.HTTPError as exc:
        reason = one_line(str(exc))[:100] or type(exc).__name__
        raise Unavailable(
            f"the connection to {address()} broke off ({reason}): pull again, what has come is kept"
        ) from exc


def _refusal(response: httpx2.Response, repository: str) -> EdgedError:
    """Why the hub did not answer what it was asked."""
    page = f"{address()}/{repository}"
    match response.status_code, response.headers.get("X-Error-Code", ""):
        case _, "GatedRepo":
            return gated(repository)
        case _, "RevisionNotFound":
            return NotFound(f"{repository} has no such revision: {page}/commits lists them", field="revision")
        case _, "EntryNotFound":
            return NotFound(f"{repository} has no such file: {page}/tree/main lists them")
        case (404, _) | (_, "RepoNotFound"):
            return NotFound(f"no repository {repository} at {address()}, or a private one that wants HF_TOKEN")
        case 401, _:
            return InvalidInput(f"{address()} does not accept the token: set HF_TOKEN to a valid one, or unset it")
        case 403, _:
            return InvalidInput(f"{address()} refuses {repository} to this token: ask for access at {page}")
        case 416, _:
            return CheckpointError(f"{page}: a file is shorter there than its description says: pull again later")
        case 429, _:
            return Unavailable(f"{address()} has had too many requests: pull again later, what has come is kept")
        case status, _:
            return Unavailable(f"{address()} answers {status}: pull again later, what has come is kept")


def gated(repository: str) -> InvalidInput:
    """The error that says how to get at a gated model."""
    return InvalidInput(
        f"{repository} is gated: accept its licence at {address()}/{repository}, "
        f"then set HF_TOKEN to a token of that account ({address()}/settings/tokens)"
    )


def has_token() -> bool:
    """Whether requests carry one."""
    return _token() is not None


def _token() -> str | None:
    """From HF_TOKEN or from an earlier login."""
    return None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()


def _repository(name: str, document: object) -> Repository:
    """Raises ValueError for what is no description of a model."""
    document = document if isinstance(document, dict) else {}
    commit, files = _matching(_SHA1, document.get("sha")), document.get("siblings")
    if commit is None or not isinstance(files, list):
        raise ValueError("no commit or no files")
    return Repository(
        name=name,
        commit=commit,
        license=_license(document.get("cardData")),
        gated=document.get("gated") not in (None, False),
        files=tuple(_remote_file(name, item) for item in files),
    )


def _remote_file(repository: str, item: object) -> RemoteFile:
    if not isinstance(item, dict) or not isinstance(name := item.get("rfilename"), str):
        raise ValueError("a file without a name")
    if not _is_plain(name):
        raise CheckpointError(f"{repository}: it lists a file named {one_line(name)[:80]!r}: not pulled")
    lfs = item.get("lfs")
    lfs = lfs if isinstance(lfs, dict) else {}
    size = lfs.get("size", item.get("size"))
    return RemoteFile(
        name=name,
        bytes=size if _is_size(size) else None,
        sha256=_matching(_SHA256, lfs.get("sha256")),
        blob_id=None if lfs else _matching(_SHA1, item.get("blobId")),
    )


def _license(card: object) -> str:
    """`license` of the model card; where that is "other", the name the card gives it."""
    card = card if isinstance(card, dict) else {}
    found = card.get("license")
    if found == "other":
        found = card.get("license_name") or found
    text = ", ".join(map(str, found)) if isinstance(found, list) else str(found or "unknown")
    return one_line(text)[:100]


def _is_plain(name: str) -> bool:
    """Whether a name can only mean a file inside the repository."""
    return name.isprintable() and "\\" not in name and all(part not in ("", ".", "..") for part in name.split("/"))


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_FILE_BYTES


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
