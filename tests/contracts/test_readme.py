"""The README names every call of the API, and none that is not there."""

import re
from pathlib import Path

from clawdeploy_api.openapi import document

README = Path(__file__).parents[2] / "README.md"


def test_the_endpoint_table_is_the_api() -> None:
    told = set(
        re.findall(
            r"`((?:GET|POST|PATCH|DELETE|PUT) /[^`]*)`",
            README.read_text().split("## The API")[1].split("## Settings")[0],
        )
    )
    real = {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}
    assert told == real
