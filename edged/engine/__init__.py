"""Answers from a model on this device: reads an artefact folder and nothing of how it was built."""

import os

# ONNX Runtime (1.29 and later, on Linux too) loads an uploader and writes a device id unless this is set
# before its first import. The daemon's guard sets it as well; this covers `edged bench` and the build.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
