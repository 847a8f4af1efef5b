"""What a camera may be, and what is refused however it is written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config import CameraKind, load_config, parse_camera
from edged.errors import ConfigError

JETSON = (
    "nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM), width=1280, height=720, format=NV12, framerate=30/1 ! "
    "nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR"
)
COMPACT = (
    "gst:nvarguscamerasrc ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=(fraction)30/1 ! nvvidconv ! "
    "video/x-raw,format=BGRx ! videoconvert ! video/x-raw , format=BGR ! appsink"
)


@pytest.mark.parametrize(
    ("text", "kind", "name", "address"),
    [
        ("0", CameraKind.DEVICE, "/dev/video0", None),
        ("/dev/video2", CameraKind.DEVICE, "/dev/video2", None),
        ("/dev/v4l/by-id/usb-camera", CameraKind.DEVICE, "/dev/v4l/by-id/usb-camera", None),
        ("/films/one.avi", CameraKind.FILE, "/films/one.avi", None),
        ("/films/%03d.png", CameraKind.FILE, "/films/%03d.png", None),
        ("http://127.0.0.1:8081", CameraKind.HTTP, "http://127.0.0.1:8081/", ("127.0.0.1", 8081)),
        ("http://10.1.2.3/a?key=k", CameraKind.HTTP, "http://10.1.2.3:80/a", ("10.1.2.3", 80)),
        ("http://[fd00::7]:81/a", CameraKind.HTTP, "http://[fd00::7]:81/a", ("fd00::7", 81)),
        ("rtsp://192.168.1.20/s", CameraKind.RTSP, "rtsp://192.168.1.20:554/s", ("192.168.1.20", 554)),
        ("rtsp://[::1]:8554/a?k=1", CameraKind.RTSP, "rtsp://[::1]:8554/a", ("::1", 8554)),
        ("rtsp://10.1.2.3/user=a&password=b", CameraKind.RTSP, "rtsp://10.1.2.3:554/user", ("10.1.2.3", 554)),
        (f"gst:{JETSON}", CameraKind.GSTREAMER, JETSON, None),
        (f"gst:{JETSON} ! appsink drop=true", CameraKind.GSTREAMER, JETSON, None),
        ("gst:v4l2src!image/jpeg!jpegdec", CameraKind.GSTREAMER, "v4l2src ! image/jpeg ! jpegdec", None),
    ],
)
def test_cameras(text: str, kind: CameraKind, name: str, address: tuple[str, int] | None) -> None:
    source = parse_camera(text)
    assert (source.kind, source.name, source.address) == (kind, name, address)


def test_caps_need_no_blanks() -> None:
    spaced = "gst:" + COMPACT.removeprefix("gst:").replace(" , ", ",").replace(",", ", ")
    assert parse_camera(COMPACT) == parse_camera(spaced)
    assert "video/x-raw(memory:NVMM), width=1280, height=720, framerate=(fraction)30/1 !" in parse_camera(COMPACT).name


def test_a_password_is_understood_and_not_shown() -> None:
    source = parse_camera("http://anna:p%40ss:1@192.168.1.20/live")
    assert source.credentials == "anna:p@ss:1" and source.address == ("192.168.1.20", 80)
    assert source.name == "http://192.168.1.20:80/live"
    with pytest.raises(ConfigError) as raised:
        load_config({"HOME": "/x", "EDGED_CAMERA__SOURCE": "http://anna:secret@camera.local/live"})
    assert "secret" not in raised.value.message and "camera.source must be http" in raised.value.message


@pytest.mark.parametrize(
    "text",
    [
        "http://192.168.1.20:80@8.8.8.8/",
        "http://192.168.1.20/a\r\nHost: x",
        "http://192.168.1.20/a b",
        "http://192.168.1.20/#x",
        "http://192.168.1.020/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0.0.0.0/",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1%25eth0]/",
        "http://[::ffff:8.8.8.8]/",
        "http://\u0661.1.1.1/",
        "https://192.168.1.20/",
        "rtsps://192.168.1.20/",
        "rtsp://8.8.8.8/",
        "rtsp://camera.local/",
        "rtsp://a%0d%0aX:b@192.168.1.20/",
        "rtsp://192.168.1.20/a\r\nX: y",
        "tcp://192.168.1.20:1",
        "concat:/etc/passwd",
        "film.avi",
        "/film\n.avi",
        "gst:",
        "gst:!",
        "gst:v4l2src ! udpsink host=192.0.2.1",
        "gst:v4l2src ! tee name=t t. ! queue",
        "gst:v4l2src ! appsink udpsrc port=1",
        "gst:filesrc location=/etc/passwd",
        "gst:v4l2src ! appsink ! queue",
        "gst:v4l2src ! video/x-raw,width=1280,udpsink",
        "gst:v4l2src ! video/x-raw,width=1280 udpsink port=1",
        "gst:v4l2src ! video/x-raw,,width=1280",
        "gst:v4l2src device=/dev/video0,x=1",
        "1" * 5000,
    ],
)
def test_what_leads_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|may) ") as raised:
        parse_camera(text)
    assert "\n" not in str(raised.value)


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_only_this_machine_and_private_networks(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    try:
        found = parse_camera(f"http://{host}:{port}/").address
    except ValueError:
        return
    assert found == (str(address), port) and address.is_private


@given(st.text())
def test_anything_else_is_a_value_error(text: str) -> None:
    for prefix in ("", "http://", "rtsp://127.0.0.1", "gst:", "/"):
        try:
            parse_camera(prefix + text)
        except ValueError as exc:
            assert str(exc).startswith(("must ", "may "))
