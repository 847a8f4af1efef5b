"""Switches that keep dependencies from reporting home or looking for updates.

They are environment variables because the libraries read nothing else, and they must be set before the
first import: ONNX Runtime (1.29 and later, on Linux too) starts its uploader as it is loaded.

OpenCV has no switch here because it has nothing to switch off: its library calls no function of the network (a test
looks), and its OPENCV_* variables are about plug-ins, caches, traces into local files and limits. The FFmpeg beside it
can open addresses; `edged.vision.camera_sources` tells it to open files alone.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from edged.records import Enforcement

SWITCHES: dict[str, str] = {
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_XET_TELEMETRY_ENABLED": "0",
    "TRANSFORMERS_OFFLINE": "1",
    # FastAPI and pyqwest trace requests for whoever installs OpenTelemetry's SDK; pydantic's plug-ins see them, too.
    "OTEL_SDK_DISABLED": "true",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
    "no_proxy": "*",
    "NO_PROXY": "*",
}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


def switch_off(environ: MutableMapping[str, str]) -> Enforcement:
    """Set the switches and forget proxies, in `environ` (os.environ, which C libraries see as well)."""
    environ.update(SWITCHES)
    for proxy in PROXIES:
        environ.pop(proxy, None)
        environ.pop(proxy.upper(), None)
    return Enforcement(
        name="telemetry off",
        active=True,
        detail="ONNX Runtime's uploader, Hugging Face's hub and its counters, OpenTelemetry, proxies: off before they "
        "are loaded",
    )
