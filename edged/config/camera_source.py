"""What a camera may be. Parsed strictly: a daemon that reaches no network has to know what it opens."""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

GSTREAMER_PREFIX = "gst:"
_PORTS = {"http": 80, "rtsp": 554}
MAX_NUMBER = 63
_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
"""Loopback, RFC 1918 and RFC 4193."""
_URL = re.compile(
    r"(?P<scheme>http|rtsp)://(?:(?P<credentials>[!\"$-.0->A-~]+)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9.]+)(?::(?P<port>[0-9]{1,5}))?(?P<target>[/?][!-\"$-~]*)?"
)
"""RFC 3986, of what a camera's address needs: ASCII without blanks and without a fragment."""
_PARAMETERS = re.compile("[?&;=]")
"""Some cameras want name and password among them, and some want those in the path."""
_ELEMENTS = frozenset(
    {"libcamerasrc", "nvarguscamerasrc", "nvv4l2camerasrc", "v4l2src", "videotestsrc"}
    | {"jpegdec", "nvjpegdec", "nvv4l2decoder", "nvvidconv", "nvvideoconvert", "v4l2convert"}
    | {"queue", "videoconvert", "videoflip", "videorate", "videoscale"}
)
"""Of GStreamer: cameras of this machine, and what makes pictures of them. None can send anything anywhere."""
_CAPS = re.compile(r"(?:video|image)/[a-z-]+(?:\(memory:[A-Za-z0-9]+\))?")
_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9_./:()+-]+")
_SINK = "appsink"


class CameraKind(enum.StrEnum):
    """How a camera is opened."""

    DEVICE = "device"
    """By Video4Linux."""
    FILE = "file"
    """A recording, or pictures that are numbered: played at its own speed, over and over."""
    HTTP = "http"
    """MJPEG, or one JPEG after the other."""
    RTSP = "rtsp"
    """H.264 or H.265."""
    GSTREAMER = "gstreamer"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSource:
    """One camera."""

    kind: CameraKind
    place: str
    """Path of the device or file; path and query of the URL; the pipeline without its sink."""
    host: str = ""
    """IP address, of a camera that is reached by the network."""
    port: int = 0
    credentials: str = ""
    """NAME:PASSWORD for HTTP's or RTSP's authentication."""

    @property
    def name(self) -> str:
        """For people, without credentials, and without a query that may hold some."""
        return f"{self.origin}{_PARAMETERS.split(self.place)[0]}" if self.host else self.place

    @property
    def origin(self) -> str:
        """What stands before the path in the URL of a camera that is reached by the network."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"

    @property
    def address(self) -> tuple[str, int] | None:
        """IP address and port of a camera that is reached by the network."""
        return (self.host, self.port) if self.host else None


def parse_camera(text: str) -> CameraSource:
    """Raises ValueError, whose message continues "camera.source ..." and quotes nothing."""
    if re.fullmatch("[0-9]{1,2}", text) and int(text) <= MAX_NUMBER:
        return CameraSource(kind=CameraKind.DEVICE, place=f"/dev/video{int(text)}")
    if text.startswith(GSTREAMER_PREFIX):
        return CameraSource(kind=CameraKind.GSTREAMER, place=_pipeline(text.removeprefix(GSTREAMER_PREFIX)))
    if text.startswith(("/", "~/")) and text.isprintable():
        path = str(Path(text).expanduser())
        return CameraSource(kind=CameraKind.DEVICE if path.startswith("/dev/") else CameraKind.FILE, place=path)
    if text.startswith(("http://", "rtsp://")):
        return _url(text)
    raise ValueError(
        "must be a camera's number, a path that begins with /, http:// or rtsp://ADDRESS:PORT/PATH in digits on this "
        "machine or the LAN, or gst:PIPELINE"
    )


def _url(text: str) -> CameraSource:
    match = _URL.fullmatch(text)
    if match is None:
        scheme = text.partition(":")[0]
        raise ValueError(f"must be {scheme}://ADDRESS:PORT/PATH with an IP address in digits, and no name")
    port = int(match["port"] or _PORTS[match["scheme"]])
    if not 0 < port <= 65_535:
        raise ValueError("must have a port from 1 to 65535")
    try:
        address = ipaddress.ip_address(match["host"].strip("[]"))
    except ValueError:
        raise ValueError("must have an IP address in digits, and no name") from None
    if not any(address in network for network in _NETWORKS):
        raise ValueError("must have an address of this machine or of a private network, such as 192.168.1.20")
    target = match["target"] or "/"
    credentials = unquote(match["credentials"] or "")
    if not credentials.isprintable():
        raise ValueError("must have a name and a password that can be printed")
    return CameraSource(
        kind=CameraKind(match["scheme"]),
        place=target if target.startswith("/") else f"/{target}",
        host=str(address),
        port=port,
        credentials=credentials,
    )


def _pipeline(text: str) -> str:
    """As gst-launch writes it, of elements that are known to keep to this machine. The sink is the reader's own."""
    pieces = [piece.strip() for piece in text.split("!")]
    if len(pieces) > 1 and pieces[-1].split()[:1] == [_SINK]:
        _words(pieces.pop())
    for piece in pieces:
        if _words(piece)[0] not in _ELEMENTS and not _is_caps(piece):
            raise ValueError(f"may have no other elements in its pipeline than {', '.join(sorted(_ELEMENTS))}")
    return " ! ".join((", " if _is_caps(piece) else " ").join(_words(piece)) for piece in pieces)


def _is_caps(piece: str) -> bool:
    """Whether it says what passes, not what happens to it."""
    return _CAPS.fullmatch(piece.partition(",")[0].rstrip()) is not None


def _words(piece: str) -> list[str]:
    """An element or caps, and their properties, which have commas before them in caps and blanks in elements."""
    words = [word.strip() for word in piece.split(",")] if _is_caps(piece) else piece.split()
    if not words:
        raise ValueError("must name an element on both sides of each ! in its pipeline")
    if not all(_PROPERTY.fullmatch(word) for word in words[1:]):
        raise ValueError("must have plain NAME=VALUE after each element of its pipeline")
    return words
