"""Speech models: what is said, whether and who, on the way in; a voice on the way out."""
