"""Programs that talk to a running daemon."""
