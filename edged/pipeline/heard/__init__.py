"""What was said, as speech recognition writes it: its words, numbers, durations, and plain commands."""
