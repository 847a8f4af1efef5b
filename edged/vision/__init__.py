"""What is seen: pictures on their way to a model."""
