"""Speech models: what is said, whether and who, on the way in; a voice on the way out."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as in edged.engine: it must be set before ONNX Runtime is imported
