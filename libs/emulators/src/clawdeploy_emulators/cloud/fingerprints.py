"""The MD5 fingerprint by which clouds name a public SSH key (RFC 4716, section 4)."""

import base64
import binascii
import hashlib

PARTS = 2  # type and key; a comment may follow


class NotAPublicKey(ValueError):
    """A text is not a public key in OpenSSH's one-line format."""


def fingerprint_of(public_key: str) -> str:
    """Colon-separated MD5 of the key's blob. Raises NotAPublicKey."""
    parts = public_key.split()
    if len(parts) < PARTS:
        raise NotAPublicKey
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except binascii.Error:
        raise NotAPublicKey from None
    length = int.from_bytes(blob[:4])
    if blob[4 : 4 + length] != parts[0].encode():
        raise NotAPublicKey
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
