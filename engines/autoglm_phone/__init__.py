"""The article's AutoGLM-Phone in PyTorch: a mixture of experts with eyes, ears and adapters for both in each layer."""
