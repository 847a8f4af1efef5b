"""Keys that sign files (Ed25519, RFC 8032), and how people compare them."""

from __future__ import annotations

import hashlib
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def key_fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's 32 bytes in hexadecimal, four digits at a time with hyphens between."""
    digest = hashlib.sha256(key.public_bytes_raw()).hexdigest()
    return "-".join(digest[start : start + 4] for start in range(0, len(digest), 4))


def is_fingerprint(given: str, fingerprint: str) -> bool:
    """Whether somebody typed that one; spaces, colons, hyphens and capitals do not matter."""
    return re.sub(r"[\s:-]", "", given).lower() == fingerprint.replace("-", "")
