"""Name and password for a camera that asks for them: Basic (RFC 7617), and Digest (RFC 7616, RFC 2617) without qop."""

from __future__ import annotations

import base64
import hashlib
import re

_PARAMETER = re.compile(r'([a-z]+)\s*=\s*(?:"([^"]{0,500})"|([^\s,"]{1,500}))', re.IGNORECASE)
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}


def authorization(challenges: list[str], credentials: str, *, method: str, url: str) -> str | None:
    """What answers the best of the camera's challenges; None where none is known.

    credentials: NAME:PASSWORD. method, url: of the request that it is for.
    """
    digests = [text for text in challenges if text.lower().startswith("digest")]
    for algorithm in ("SHA-256", "MD5"):
        for text in digests:
            asked = {match[1].lower(): match[2] or match[3] or "" for match in _PARAMETER.finditer(text)}
            if asked.get("algorithm", "MD5").upper() == algorithm and "nonce" in asked:
                return _digest(asked, algorithm, credentials, method=method, url=url)
    if any(text.lower().startswith("basic") for text in challenges):
        return "Basic " + base64.b64encode(credentials.encode()).decode("ascii")
    return None


def _digest(asked: dict[str, str], algorithm: str, credentials: str, *, method: str, url: str) -> str:
    """In the form without qop, which servers that offer one have to take from older clients as well."""

    def hashed(*parts: str) -> str:
        return hashlib.new(_HASHES[algorithm], ":".join(parts).encode(), usedforsecurity=False).hexdigest()

    name, _, password = credentials.partition(":")
    realm, nonce = asked.get("realm", ""), asked["nonce"]
    response = hashed(hashed(name, realm, password), nonce, hashed(method, url))
    fields = {
        "username": re.sub(r'(["\\])', r"\\\1", name),
        "realm": realm,
        "nonce": nonce,
        "uri": url,
        "response": response,
    }
    written = [f'{key}="{value}"' for key, value in fields.items()]
    if "opaque" in asked:
        written.append(f'opaque="{asked["opaque"]}"')
    if "algorithm" in asked:
        written.append(f"algorithm={algorithm}")
    return "Digest " + ", ".join(written)
