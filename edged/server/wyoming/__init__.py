"""Wyoming, the voice protocol of Home Assistant: this machine's ears and voice as services, its room as a satellite.

Two doors, because Home Assistant takes what is a satellite for nothing else, and because `transcribe` and `synthesize`
are requests to a service but news to a satellite. Only what is said here imports the package `wyoming`.
"""
