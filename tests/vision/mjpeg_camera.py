"""A network camera on loopback: MJPEG whose every picture shows its number, in blocks that can be read back exactly."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

FPS = 20
BITS, BLOCK = 16, 32
BOUNDARY = b"frame"
Script = Callable[["MjpegCamera", socket.socket], None]


class MjpegCamera:
    """Serves from the beginning, until `unplug`; the number of a picture says when it was taken."""

    def __init__(self, script: Script | None = None) -> None:
        """script: what is answered to a request, instead of pictures without end."""
        self.script = script or serve_pictures
        self.requests: list[bytes] = []
        self._began = time.monotonic()
        self._sockets: set[socket.socket] = set()
        self.port = 0
        self.plug_in()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/live?key=secret"

    @property
    def is_watched(self) -> bool:
        return bool(self._sockets)

    @property
    def number(self) -> int:
        """Of the picture that is taken now."""
        return int((time.monotonic() - self._began) * FPS)

    def age_of(self, jpeg: bytes) -> float:
        """Seconds since that picture was taken."""
        return time.monotonic() - self._began - number_in(jpeg) / FPS

    def plug_in(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def unplug(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in tuple(self._sockets):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def pictures(self) -> Iterator[bytes]:
        """Each as it is taken, for as long as anybody reads."""
        last = -1
        while True:
            while (number := self.number) == last:
                time.sleep(0.002)
            last = number
            yield picture(number)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._sockets.add(client)
        with client, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request and (data := client.recv(4096)):
                request += data
            self.requests.append(request)
            watch = threading.Thread(target=self._drain, args=[client], daemon=True)
            watch.start()
            self.script(self, client)
            client.shutdown(socket.SHUT_RDWR)  # closing alone would wait for the thread that reads
        self._sockets.discard(client)

    def _drain(self, client: socket.socket) -> None:
        """Notices that the other side has left while nothing is sent to it."""
        with contextlib.suppress(OSError):
            client.recv(1)
        self._sockets.discard(client)


def head(content_type: str, status: str = "200 OK", *more: str) -> bytes:
    lines = [f"HTTP/1.0 {status}", f"Content-Type: {content_type}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def part(jpeg: bytes, *, with_length: bool = True) -> bytes:
    length = f"Content-Length: {len(jpeg)}\r\n".encode() if with_length else b""
    return b"--" + BOUNDARY + b"\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + jpeg + b"\r\n"


STREAM = head(f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}")


def serve_pictures(camera: MjpegCamera, client: socket.socket) -> None:
    client.sendall(STREAM)
    for jpeg in camera.pictures():
        client.sendall(part(jpeg))


def picture(number: int) -> bytes:
    """JPEG of what `blocks` draws."""
    return cv2.imencode(".jpg", blocks(number))[1].tobytes()


def blocks(number: int) -> np.ndarray:
    """512 x 64 pixels in BGR: a block for each bit of the number, and below it the opposite."""
    bits = np.array([(number >> bit) & 1 for bit in range(BITS)], np.uint8) * 255
    rows = np.kron(np.stack([bits, 255 - bits]), np.ones((BLOCK, BLOCK), np.uint8))
    return cv2.cvtColor(rows, cv2.COLOR_GRAY2BGR)


def number_in(jpeg: bytes) -> int:
    """Of a picture, however often it was compressed again."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    blocks = image.reshape(2, BLOCK, BITS, BLOCK).mean((1, 3)) > 127
    assert (blocks[0] != blocks[1]).all(), "no picture of this camera"
    return int(sum(1 << bit for bit in range(BITS) if blocks[0][bit]))
