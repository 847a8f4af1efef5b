"""ONNX graphs built straight from a checkpoint's weights, without tracing."""
