"""Training with quantization in mind: fake-quantized weights, the loop, its checkpoints."""
