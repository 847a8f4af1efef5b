"""Build time: from a checkpoint to an INT4 artefact folder."""

import os

# See edged.engine: without this ONNX Runtime reports home.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
