"""The article's AutoGLM-Phone in PyTorch: text with a mixture of experts, eyes, ears and an adapter for each per layer."""
