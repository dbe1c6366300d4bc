"""What text and JSON from outside may look like before it comes any further."""

import math
import unicodedata
from typing import Any, cast

MAX_DEPTH = 20
MAX_NODES = 5_000
_FORBIDDEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})


def display_text(value: str) -> str:
    """Text to be shown: any script, no control characters, not only blanks; outer blanks are taken off."""
    if any(unicodedata.category(character) in _FORBIDDEN for character in value):
        raise ValueError("must not contain control characters")
    stripped = value.strip()
    if not stripped:
        raise ValueError("must not be blank")
    return stripped


def bounded_json(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object a database can keep: no NUL, no NaN, not too deep, not too large."""
    waiting: list[tuple[Any, int]] = [(value, 1)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_NODES:
            raise ValueError(f"must have at most {MAX_DEPTH} levels and {MAX_NODES} values")
        _check_scalar(node)
        waiting.extend((child, depth + 1) for child in _children(node))
    return value


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        found = cast("dict[Any, Any]", node)
        return [*found.keys(), *found.values()]
    return cast("list[Any]", node) if isinstance(node, list) else []


def _check_scalar(node: Any) -> None:
    if isinstance(node, str) and ("\0" in node or not _is_unicode(node)):
        raise ValueError("must not contain NUL or half characters")
    if isinstance(node, float) and not math.isfinite(node):
        raise ValueError("must not contain NaN or Infinity")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
