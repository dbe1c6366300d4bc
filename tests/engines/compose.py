"""`docker-compose.yml` as Compose reads it: merged and interpolated (Compose Specification, "Interpolation" and "Fragments")."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "docker-compose.yml"
_INNERMOST = re.compile(r"\$\{([A-Za-z_]\w*)(?:(:-|:\?)([^${}]*))?\}")


class Missing(Exception):
    """A variable that the file requires is not set; the message is the file's own."""


def document() -> dict[str, Any]:
    """The file with its fragments merged, its variables as they are written."""
    return yaml.safe_load(FILE.read_text())


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """The same with every variable replaced, and those without a value passed on when there is one; raises Missing."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        passed_on = {key: variables[key] for key, inner in members.items() if inner is None and key in variables}
        given = {key: interpolated(inner, variables) for key, inner in members.items() if inner is not None}
        return given | passed_on
    if isinstance(value, list):
        return [interpolated(inner, variables) for inner in cast("list[Any]", value)]
    while isinstance(value, str) and _INNERMOST.search(value):
        value = _INNERMOST.sub(lambda found: _resolve(found, variables), value)
    return value


def _resolve(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, operator, other = found.groups()
    if given := variables.get(name):
        return given
    if operator == ":?":
        raise Missing(f"{name}: {other}")
    return other or ""


def made_environment(folder: Path) -> dict[str, str]:
    """What `scripts/make-env.sh` writes."""
    file = folder / "made.env"
    subprocess.run([str(CHECKOUT / "scripts" / "make-env.sh"), str(file)], check=True, capture_output=True)
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [line for line in file.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
