"""The daemon's gRPC side."""

from edged.server.server import Server

__all__ = ["Server"]
