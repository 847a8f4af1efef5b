"""What is heard: recordings on their way to a model."""
