"""A test daemon that watches whether a client does what the contract asks: `python -m clients.conformance serve`."""
