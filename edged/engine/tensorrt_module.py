"""TensorRT's Python module, under whichever of its names it is installed."""

from __future__ import annotations

import importlib
from typing import Any

from edged.errors import MissingExtra

NAMES = ("tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt")
"""For RTX GPUs from pip, under two names; and what JetPack and data centres have. Their API is the same."""


def load_tensorrt() -> Any:
    """The first module that is there. Raises MissingExtra."""
    for name in NAMES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name != name:
                raise MissingExtra(f"{name} is only half installed, {exc.name} is missing: {_ADVICE}") from exc
        except ImportError as exc:  # a library that it is linked with
            raise MissingExtra(f"{name} cannot be loaded ({exc}): {_ADVICE}") from exc
    raise MissingExtra(f"TensorRT is not installed: {_ADVICE}")


def builder_of(module: Any) -> str:
    """What a plan records of its builder, and a runtime must equal: e.g. "tensorrt_rtx 1.7.1.116"."""
    return f"{module.__name__.removesuffix('_bindings')} {module.__version__}"


def error_log(trt: Any, ignored: str | None = None) -> Any:
    """A logger of that module which prints nothing and keeps errors, but those that hold the text `ignored`."""

    class Log(trt.ILogger):  # type: ignore[misc]  # a base class of a module that mypy does not see
        """`reason()` is the first error since the last time."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            is_ignored = ignored is not None and ignored in message
            if severity <= trt.ILogger.Severity.ERROR and not is_ignored:
                self.errors = [*self.errors[:9], message]

        def reason(self) -> str:
            errors, self.errors = self.errors, []
            return " ".join(errors[0].split())[:300] if errors else "it does not say why"

    return Log()


_ADVICE = "`make setup EXTRAS=rtx` or pip install 'edged[rtx]'; on a Jetson it comes with JetPack (python3-libnvinfer)"
