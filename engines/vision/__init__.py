"""The vision tower of GLM-4V: what a checkpoint has of it, its maths, and its graph."""
