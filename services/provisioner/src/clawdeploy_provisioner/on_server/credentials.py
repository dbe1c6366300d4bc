"""Tokens and credentials of agents: 32 random bytes, kept as their SHA-256 only."""

import hashlib
import secrets

_BYTES = 32


def new_secret() -> str:
    """43 characters of base64url."""
    return secrets.token_urlsafe(_BYTES)


def hashed(secret: str) -> bytes:
    """What is kept of it; a random secret of this length needs no slow hash."""
    return hashlib.sha256(secret.encode()).digest()
