"""An SSH key pair per deployment (Ed25519): its public half goes to the provider, so that no root password is made and mailed."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)


def new_private_key() -> bytes:
    """A new key in OpenSSH's format; kept encrypted."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public_line(private_key: bytes) -> str:
    """As it stands in ``authorized_keys``."""
    key = load_ssh_private_key(private_key, password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
