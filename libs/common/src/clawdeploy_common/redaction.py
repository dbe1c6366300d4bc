"""Secrets taken out of text before anybody reads it."""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

REDACTED = "[redacted]"
_SHORTEST = 4  # a shorter value would blank out ordinary text, and is no secret worth the name

_PATTERNS = re.compile(
    r"""
    (?P<prefix>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}                  # an Authorization header (RFC 6750, RFC 7617)
    | \bsk-[A-Za-z0-9_-]{16,}                                                # OpenRouter, Anthropic, OpenAI keys
    | \bclaw_[A-Za-z0-9_-]{43}                                               # our own API keys
    | \bAIza[A-Za-z0-9_-]{30,}                                               # Google API keys
    | (?<![0-9])[0-9]{6,12}:[A-Za-z0-9_-]{30,}                               # Telegram bot tokens
    | \b[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}      # Discord bot tokens
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}           # JSON Web Tokens
    | (?P<scheme>[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:)[^\s/@]{1,200}(?=@)  # the password in an address
    """,
    re.VERBOSE,
)


class Redactor:
    """Replaces known secret values, in the spellings they travel in, and whatever looks like a credential."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        spellings = {spelling for value in values for spelling in _spellings(value)}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def redact(self, text: str) -> str:
        """The same text with every secret replaced by ``[redacted]``."""
        if self._values is not None:
            text = self._values.sub(REDACTED, text)
        return _PATTERNS.sub(_blank, text)


def _spellings(value: str) -> set[str]:
    """As it is, line by line, percent-encoded, inside a JSON string, and in base64."""
    plain = {value, *value.splitlines()}
    encoded = {quote(value, safe=""), json.dumps(value)[1:-1], base64.b64encode(value.encode()).decode()}
    return {spelling for spelling in plain | encoded if len(spelling) >= _SHORTEST}


def _blank(match: re.Match[str]) -> str:
    return (match["prefix"] or match["scheme"] or "") + REDACTED
