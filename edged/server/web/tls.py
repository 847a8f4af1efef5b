"""TLS of the web port: version 1.3 and nothing older."""

from __future__ import annotations

import os
import ssl

from edged.server.listen import ServerIdentity


def server_context(identity: ServerIdentity) -> ssl.SSLContext:
    """For new connections."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL reads files only; this one never reaches a disk.
    file = os.memfd_create("edged", os.MFD_CLOEXEC)
    try:
        os.write(file, identity.certificate_pem + b"\n" + identity.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return context
