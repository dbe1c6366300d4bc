"""Sealed secrets (law 10): HPKE (RFC 9180) base mode with X25519, HKDF-SHA256, AES-256-GCM; who seals cannot open.

The ``info`` binds a ciphertext to its instance, secret name and version: moved to another row it does not open.
"""

import hashlib
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from clawdeploy_common.errors import PermanentError

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NONCE_BYTES = 12


class SealBroken(PermanentError):
    """A ciphertext does not open with this key for this purpose."""

    code = "seal-broken"
    title = "A stored secret cannot be opened"


def secret_info(*, instance_id: UUID, name: str, version: int) -> bytes:
    """What a sealed secret is bound to."""
    return f"clawdeploy/secret/v1|{instance_id}|{name}|{version}".encode()


def seal(plaintext: bytes, *, public_key: bytes, info: bytes) -> bytes:
    """Seal for the holder of the private key; ``public_key`` is 32 raw bytes."""
    return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public_key), info)


def open_sealed(sealed: bytes, *, private_key: bytes, info: bytes) -> bytes:
    """Open; raises SealBroken when the key, the bytes or the purpose differ."""
    try:
        return _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private_key), info)
    except (InvalidTag, ValueError) as error:
        raise SealBroken("the sealed secret does not open") from error


def generate_key_pair() -> tuple[bytes, bytes]:
    """A new (private, public) X25519 pair, 32 raw bytes each."""
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def encrypt_at_rest(plaintext: bytes, *, key: bytes, purpose: bytes) -> bytes:
    """AES-256-GCM under a key that never leaves the process; nonce first, then ciphertext and tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, purpose)


def decrypt_at_rest(stored: bytes, *, key: bytes, purpose: bytes) -> bytes:
    """The inverse of :func:`encrypt_at_rest`; raises SealBroken when the key or the purpose differ."""
    try:
        return AESGCM(key).decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], purpose)
    except (InvalidTag, ValueError) as error:
        raise SealBroken("what is stored does not open with ENCRYPTION_KEY") from error


def fingerprint(sealed: bytes) -> str:
    """SHA-256 of sealed bytes, hex: names a version without telling anything of its content."""
    return hashlib.sha256(sealed).hexdigest()
