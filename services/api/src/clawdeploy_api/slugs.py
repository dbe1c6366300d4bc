"""Slugs: the one name of an instance that may reach a command or a path (law 12)."""

import re
import secrets
import unicodedata

MAX_LENGTH = 40
_SUFFIX_LENGTH = 6
_OTHER = re.compile(r"[^a-z0-9]+")


def slug_of(name: str) -> str:
    """A slug that resembles a name; names without a Latin letter or digit become ``agent``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _OTHER.sub("-", plain)[:MAX_LENGTH].strip("-") or "agent"


def with_suffix(slug: str) -> str:
    """The same with six random characters, for when it is taken."""
    return f"{slug[: MAX_LENGTH - _SUFFIX_LENGTH - 1].rstrip('-')}-{secrets.token_hex(_SUFFIX_LENGTH // 2)}"
