"""Texts as places: what means the same is near each other. No model of the engine's, and none of its queue."""
