"""The desktop app, in a terminal: `edged-desktop`."""
