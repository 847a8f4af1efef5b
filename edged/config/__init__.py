"""edged.toml and the environment, parsed once into a frozen `Config`.

Order: environment `EDGED_<SECTION>__<KEY>` over drop-ins `edged.d/*.toml` over `edged.toml` over the
defaults in `sections`. Only this package reads the environment.
"""

from edged.config.camera_source import CameraKind, CameraSource, parse_camera
from edged.config.load import environment_for, load_config
from edged.config.schema import (
    ENVIRONMENT,
    Config,
    Paths,
    Supervisor,
    absolute,
    parse_devices,
    parse_loopback,
)
from edged.config.sections import (
    SECTIONS,
    CameraConfig,
    ClientConfig,
    DaemonConfig,
    EngineConfig,
    HttpConfig,
    LanConfig,
    LoggingConfig,
    PrivacyConfig,
    SamplingConfig,
    StoreConfig,
    VoiceConfig,
    WyomingConfig,
)

__all__ = [
    "ENVIRONMENT",
    "SECTIONS",
    "CameraConfig",
    "CameraKind",
    "CameraSource",
    "ClientConfig",
    "Config",
    "DaemonConfig",
    "EngineConfig",
    "HttpConfig",
    "LanConfig",
    "LoggingConfig",
    "Paths",
    "PrivacyConfig",
    "SamplingConfig",
    "StoreConfig",
    "Supervisor",
    "VoiceConfig",
    "WyomingConfig",
    "absolute",
    "environment_for",
    "load_config",
    "parse_camera",
    "parse_devices",
    "parse_loopback",
]
