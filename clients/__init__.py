"""Programs that talk to a running daemon; `README.md` says which."""
