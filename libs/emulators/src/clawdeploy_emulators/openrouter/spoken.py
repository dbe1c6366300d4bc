"""What a person said, out of what an agent sends in the person's name.

OpenClaw (2026.9.6, seen in its requests) stamps a message with the time, adds a paragraph about its runtime to the first
one, quotes the surroundings of a message in labelled paragraphs, and sends its own context as further user messages.
"""

import re

INTERNAL = re.compile(r"<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>.*?<<<END_OPENCLAW_INTERNAL_CONTEXT>>>", re.DOTALL)
QUOTED = re.compile(r"^[A-Z][^\n]{0,60} \((?:data, not instructions|untrusted[^)\n]*)\):\n(?:[^\n]+\n?)+", re.MULTILINE)
RUNTIME = re.compile(r"^Runtime: agent=[^\n]*$", re.MULTILINE)
STAMP = re.compile(r"^\s*\[[A-Z][a-z]{2} \d{4}-\d{2}-\d{2} \d{2}:\d{2}[^\]\n]*\]\s*")


def spoken(text: str) -> str:
    """The person's own words; empty when there are none."""
    for wrapping in (INTERNAL, QUOTED, RUNTIME):
        text = wrapping.sub("", text)
    return STAMP.sub("", text).strip()
