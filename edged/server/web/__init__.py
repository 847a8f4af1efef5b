"""The web port (extra web): the phone app, and edged's own services for browsers and for pairing.

HTTP/1.1 in TLS 1.3. The same servicers answer as behind gRPC: over Connect and gRPC-Web, and over a WebSocket where
requests are a stream.
"""
