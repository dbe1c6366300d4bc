"""The agent's program as it is served, with its SHA-256."""

import hashlib
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("agent.py")


@cache
def source() -> bytes:
    """The one file, byte for byte."""
    return _FILE.read_bytes()


@cache
def sha256() -> str:
    """Hex; the bootstrap names it, so that what runs on a server is what this release holds."""
    return hashlib.sha256(source()).hexdigest()
