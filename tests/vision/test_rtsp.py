"""Cameras that speak RTSP: what they send is seen while it is new, and nothing they say leads anywhere else."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import aclosing
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.config import parse_camera
from edged.errors import DeviceUnavailable
from edged.records import CameraState
from edged.vision.rtp_video import MAX_UNIT_BYTES, START_CODE, AccessUnits, VideoCodec
from edged.vision.rtsp import RtspSession
from edged.vision.rtsp_authorization import authorization
from edged.vision.rtsp_camera import RtspCamera
from edged.vision.rtsp_description import described_video
from tests.vision.mjpeg_camera import FPS, number_in
from tests.vision.rtsp_server import PAYLOAD_TYPE, Answer, RtspServer, packed, reply, rtp, sdp
from tests.vision.test_camera import living

CODECS = {"H264": VideoCodec.H264, "H265": VideoCodec.H265}
HEADS = {"H264": b"\x65", "H265": b"\x26\x01"}
"""Of a unit that is a picture of its own."""


@pytest.fixture
def serve() -> Iterator[Callable[..., RtspServer]]:
    """Takes what `RtspServer` takes."""
    servers: list[RtspServer] = []

    def made(*arguments: object, **options: object) -> RtspServer:
        servers.append(RtspServer(*arguments, **options))
        return servers[-1]

    yield made
    for server in servers:
        server.unplug()


@pytest.mark.parametrize("codec", CODECS)
async def test_the_newest_picture_is_seen(serve: Callable[..., RtspServer], codec: str) -> None:
    server = serve(codec)
    async with living(server.url) as camera:
        with camera.watching():
            for pause in (0.0, 0.9, 0.3):
                await asyncio.sleep(pause)
                before = server.number
                assert number_in((await camera.snapshot()).jpeg) > before - FPS, "older than a second"
            await asyncio.sleep(1.0)
        assert "secret" not in str(camera.status())
    assert any(request.startswith(b"OPTIONS") for request in server.requests), "a session of 2 s was kept alive"


async def test_unplugged_it_is_lost_and_plugged_in_it_is_back(serve: Callable[..., RtspServer]) -> None:
    server = serve()
    async with living(server.url) as camera, aclosing(camera.frames(10)) as frames, aclosing(camera.changes()) as seen:
        first = await anext(frames)
        server.unplug()
        async for status in seen:
            if status.state is CameraState.LOST:
                break
        assert "the camera" in status.obstacle and "secret" not in status.obstacle
        server.plug_in()
        assert number_in((await anext(frames)).jpeg) > number_in(first.jpeg)


def session_with(server: RtspServer, credentials: str = "") -> RtspSession:
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        session = RtspSession(connection, f"rtsp://127.0.0.1:{server.port}/live", credentials)
        assert session.packet()
        return session


def says(wanted: str, *lines: str, body: str = "", status: str = "200 OK") -> Answer:
    return lambda method, request: reply(request, list(lines), body, status) if method == wanted else None


def test_what_leads_elsewhere_is_not_followed(serve: Callable[..., RtspServer]) -> None:
    elsewhere = serve()
    for method in ("DESCRIBE", "SETUP", "PLAY"):
        server = serve(answer=says(method, f"Location: {elsewhere.url}", status="302 Moved Temporarily"))
        with pytest.raises(DeviceUnavailable, match="leads to another address, which is not followed"):
            session_with(server)
    named = serve(control=f"{elsewhere.url}/track1")
    assert session_with(named).video.codec is VideoCodec.H264
    assert b"SETUP" in named.requests[1] and elsewhere.requests == []


def challenge(*lines: str) -> Answer:
    """Who does not answer it is refused."""

    def answer(method: str, request: str) -> bytes | None:
        headers = [f"WWW-Authenticate: {line}" for line in lines]
        return None if "Authorization:" in request else reply(request, headers, status="401 Unauthorized")

    return answer


DIGEST = 'Digest realm="camera", nonce="abc", opaque="5c", algorithm='


@pytest.mark.parametrize(
    ("challenges", "scheme"),
    [
        (['Basic realm="x"'], "Basic YW5uYTpwQHNz"),
        (['Basic realm="x"', 'Digest realm="camera", nonce="abc"'], "Digest username="),
        ([f"{DIGEST}MD5", f"{DIGEST}SHA-256"], "algorithm=SHA-256"),
    ],
)
def test_name_and_password_are_told_as_the_camera_wants(
    serve: Callable[..., RtspServer], challenges: list[str], scheme: str
) -> None:
    server = serve(answer=challenge(*challenges))
    session_with(server, "anna:p@ss")
    assert b"Authorization" not in server.requests[0]
    assert all(scheme.encode() in request for request in server.requests[1:])
    assert scheme.startswith("Basic") or not any(b"p@ss" in request for request in server.requests)


def test_a_digest_is_what_the_standard_library_computes() -> None:
    url, asked = "rtsp://192.168.1.20:554/live", 'realm="camera, front", nonce="0a4f", opaque="5ccc", algorithm=MD5'
    handler = urllib.request.HTTPDigestAuthHandler()
    handler.add_password("camera, front", url, "anna", "p:ss")
    request = urllib.request.Request(url, method="DESCRIBE")
    request.selector = url
    parameters = {"realm": "camera, front", "nonce": "0a4f", "opaque": "5ccc", "algorithm": "MD5"}
    told = authorization([f"Digest {asked}"], "anna:p:ss", method="DESCRIBE", url=url)
    expected = handler.get_authorization(request, parameters)
    response = expected.partition('response="')[2].partition('"')[0]
    assert told and response and f'response="{response}"' in told and 'opaque="5ccc"' in told


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda method, request: b"HTTP/1.1 200 OK\r\n\r\n", "no RTSP"),
        (lambda method, request: b"\0" * 100_000, "no RTSP"),
        (lambda method, request: b"RTSP/1.0 200 OK\r\nContent-Length: 999999\r\n\r\n", "no RTSP"),
        (lambda method, request: b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", "no RTSP"),
        (says("DESCRIBE", status="404 Not Found"), "RTSP status 404: is its path right"),
        (says("DESCRIBE", status="401 Unauthorized"), "wants a name and a password"),
        (says("DESCRIBE", body="v=0\r\nm=audio 0 RTP/AVP 0\r\n"), "neither H.264 nor H.265"),
        (says("DESCRIBE", body=sdp("JPEG", "a")), "neither H.264 nor H.265"),
        (says("SETUP"), "no RTSP"),
    ],
)
def test_what_no_camera_says_is_refused_in_one_line(
    serve: Callable[..., RtspServer], answer: Answer, message: str
) -> None:
    server = serve(answer=answer)
    with pytest.raises(DeviceUnavailable) as raised:
        session_with(server)
    assert message in raised.value.message and "\n" not in raised.value.message


def test_pictures_that_cannot_be_decoded_or_are_too_large_are_damaged(
    serve: Callable[..., RtspServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_connection(("127.0.0.1", (server := serve()).port), 5) as connection:
        monkeypatch.setattr("edged.vision.rtsp_camera.socket.create_connection", lambda *_: connection)
        camera = RtspCamera(parse_camera(server.url), max_pixels=1000, timeout_seconds=5)
        camera.wait()
        assert camera.picture() is None


def pushed(codec: str, payloads: list[bytes]) -> list[bytes]:
    units = AccessUnits(CODECS[codec], PAYLOAD_TYPE)
    sent = [
        rtp(payload, sequence=index, timestamp=1, is_last=index == len(payloads) - 1)
        for index, payload in enumerate(payloads)
    ]
    return [unit.data for packet in sent if (unit := units.push(packet))]


@settings(max_examples=50, deadline=None)
@given(
    codec=st.sampled_from(list(CODECS)),
    bodies=st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=5),
    max_bytes=st.integers(8, 500),
)
def test_however_it_is_packed_a_picture_is_whole(codec: str, bodies: list[bytes], max_bytes: int) -> None:
    units = [HEADS[codec] + body for body in bodies]
    (whole,) = pushed(codec, list(packed(codec, units, max_bytes)))
    assert sorted(whole.split(START_CODE)[1:]) == sorted(
        b"".join(START_CODE + unit for unit in units).split(START_CODE)[1:]
    )


@settings(max_examples=50, deadline=None)
@given(codec=st.sampled_from(list(CODECS)), packets=st.lists(st.binary(max_size=60), max_size=8))
def test_anything_else_is_refused_or_skipped(codec: str, packets: list[bytes]) -> None:
    units = AccessUnits(CODECS[codec], PAYLOAD_TYPE)
    for body in packets:
        for packet in (body, bytes((0x80 | (len(body) & 0x3F), PAYLOAD_TYPE | 0x80)) + body):
            try:
                units.push(packet)
            except DeviceUnavailable as exc:
                assert "\n" not in exc.message


def test_a_picture_without_an_end_is_refused() -> None:
    units = AccessUnits(VideoCodec.H264, PAYLOAD_TYPE)
    payload = b"\x7c\x85" + bytes(60_000)
    with pytest.raises(DeviceUnavailable, match="more than 8 MiB"):
        for number in count():
            units.push(rtp(payload, sequence=number, timestamp=1, is_last=False))
            assert number * len(payload) <= MAX_UNIT_BYTES


def test_what_a_decoder_has_to_know_first_is_in_the_description() -> None:
    assert described_video(sdp("H264", "*", b"\x67sps")).parameter_sets == START_CODE + b"\x67sps"
    assert described_video(sdp("H265", "a")).parameter_sets == b""


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300))
def test_any_description_is_read_or_refused(text: str) -> None:
    for whole in (text, f"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{text}"):
        try:
            described_video(whole)
        except DeviceUnavailable as exc:
            assert "\n" not in exc.message
