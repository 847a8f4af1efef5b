"""What is seen: pictures on their way to a model."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as in edged.engine: it must be set before ONNX Runtime is imported
