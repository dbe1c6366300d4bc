"""SCRAM-SHA-256 verifiers, as PostgreSQL stores them: who sets a password this way never shows it to the server's log.

Source: RFC 5802 and RFC 7677; PostgreSQL's documentation of `pg_authid.rolpassword`.
"""

import hashlib
import hmac
import secrets
from base64 import b64encode

ITERATIONS = 4096
SALT_BYTES = 16


def scram_verifier(password: str) -> str:
    """Give the verifier of an ASCII password, under a fresh salt.

    Raises:
        ValueError: the password is empty or not plain ASCII (SASLprep would have to rewrite it).
    """
    if not password or not password.isascii() or not password.isprintable():
        raise ValueError("a role's password must be printable ASCII")
    salt = secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded_salt, stored, server = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded_salt}${stored}:{server}"
