"""Labels, and the selector language that finds resources by them (published description, "Label Selector")."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from clawdeploy_emulators.hetzner.errors import invalid_input

Labels = dict[str, str]
Requirement = Callable[[Labels], bool]

NAME = r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
DNS = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
KEY = rf"(?:{DNS}/)?{NAME}"
VALUE = rf"(?:{NAME})?"
PREFIX_LIMIT = 253
RESERVED = "hetzner.cloud/"
EQUALS = re.compile(rf"({KEY})\s*(==|=|!=)\s*({VALUE})")
PRESENT = re.compile(rf"(!?)\s*({KEY})")
AMONG = re.compile(rf"({KEY})\s+(in|notin)\s+\(([^()]*)\)")
COMMA = re.compile(r",(?![^(]*\))")  # a comma within parentheses separates values


def _valid(labels: Labels) -> Labels:
    for key, value in labels.items():
        prefix = key.rpartition("/")[0]
        if not re.fullmatch(KEY, key) or len(prefix) > PREFIX_LIMIT or key.startswith(RESERVED):
            raise ValueError(f"label key '{key}' is not valid")
        if not re.fullmatch(VALUE, value):
            raise ValueError(f"label value '{value}' is not valid")
    return labels


ValidLabels = Annotated[Labels, AfterValidator(_valid)]


def selects(selector: str) -> Requirement:
    """The condition that a selector puts on labels. Raises the refusal for one that does not parse."""
    requirements = [_requirement(part.strip()) for part in COMMA.split(selector)]
    return lambda labels: all(requirement(labels) for requirement in requirements)


def _requirement(text: str) -> Requirement:
    if found := AMONG.fullmatch(text):
        key, verb, values = found[1], found[2], {value.strip() for value in found[3].split(",")}
        return lambda labels: (labels.get(key) in values) == (verb == "in")
    if found := EQUALS.fullmatch(text):
        key, sign, value = found.groups()
        return lambda labels: (labels.get(key) == value) != (sign == "!=")
    if found := PRESENT.fullmatch(text):
        absent, key = found.groups()
        return lambda labels: (key in labels) != bool(absent)
    raise invalid_input("label_selector", f"'{text}' is not a valid selector")
